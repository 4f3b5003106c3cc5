"""The same model in memory, with and without reading and writing JSON; arguments: file of ratings, how many.

Prints one JSON object: processor seconds of each.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path

import msgspec

from schemas.catalogue import encode
from schemas.events import RatingCleaned
from tests.bench.data import Ratings, cleaned
from tests.bench.model import new_learner


def main(path: str, count: int) -> None:
    """Both, one after the other, on new models."""
    pairs = cleaned(Ratings(Path(path), ""), count)
    records = [record for record, _ in pairs]
    values = [encode(record) for record in records]
    # The prepared records are not the model's garbage to look through.
    gc.freeze()
    learner = new_learner()
    started = time.process_time()
    for record in records:
        learner.observe(record)
    bare = time.process_time() - started
    decode = msgspec.json.Decoder(RatingCleaned).decode
    learner = new_learner()
    started = time.process_time()
    for value in values:
        said = learner.observe(decode(value))
        if said is not None:
            encode(said)
    with_json = time.process_time() - started
    sys.stdout.write(json.dumps({"events": len(records), "bare": bare, "json": with_json}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
