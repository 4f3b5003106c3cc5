"""img2dataset on the same addresses, writing files; arguments: file with addresses as JSON, folder.

It is not among the benchmarks' packages: BENCH_PEERS names the folder where it is installed. Prints nothing but null
where it is not.
"""

from __future__ import annotations

import json
import os
import site
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final

AT_ONCE: Final = 64


def main(source: Path, folder: Path) -> None:
    """As many processes as there are cores, which share the downloads that are made at once."""
    # Behind the packages that are here already, so that these stay as they are.
    site.addsitedir(os.environ.get("BENCH_PEERS", ""))
    # It and its processes print on standard output, which is for the answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if find_spec("img2dataset") is None:
        answers.write("null")
        return
    # One of the packages that it brings would ask the internet for a newer version of itself.
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    download = import_module("img2dataset").download
    folder.mkdir(parents=True)
    addresses = folder / "urls.txt"
    addresses.write_text("\n".join(json.loads(source.read_text())))
    cores = os.cpu_count() or 1
    started = time.perf_counter()
    download(
        url_list=str(addresses),
        output_folder=str(folder / "files"),
        processes_count=cores,
        thread_count=AT_ONCE,
        number_sample_per_shard=500,
        resize_mode="no",
        encode_quality=90,
    )
    spent = {"seconds": time.perf_counter() - started, "cpu": sum(os.times()[:4])}
    answers.write(json.dumps(spent | {"count": len(list((folder / "files").rglob("*.jpg")))}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
