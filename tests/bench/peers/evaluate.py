"""What `marquee evaluate --ratings` does, with a look at its own memory on the way; arguments: file, how many ratings.

Prints one JSON object: resident memory in MB at each share of the run.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from models.evaluation import evaluate_ratings
from tests.bench.gauge import Gauge
from tests.bench.processes import resident_mb


def main(path: str, count: int) -> None:
    """Read, predict, score, learn."""
    gauge = Gauge(count, lambda: resident_mb(os.getpid()))
    evaluate_ratings(Path(path), None, lambda done, total: gauge.look(done))
    gauge.look(count)
    sys.stdout.write(json.dumps(gauge.found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
