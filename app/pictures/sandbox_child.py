"""The process that decodes: takes jobs from its standard input one by one, and is expected to die of some of them.

Whoever started it reads answers from its standard output. An answer is never pickled, since a decoder that a picture
has taken over could else take over the reader.
"""

from __future__ import annotations

import gc
import importlib
import os
import pickle
import resource
import signal
import struct
import traceback
from collections.abc import Callable
from typing import IO, Any, Final

import msgspec

HEADER: Final = struct.Struct(">IB")
"""Bytes that follow, and what they are."""
READY, DONE, OUT_OF_MEMORY, UNUSABLE, BROKEN = range(5)
"""What an answer says: up, the job's result, no memory, not the picture's fault (text), a bug (traceback)."""

ENVIRONMENT: Final = {
    # Each thread of OpenBLAS, which nothing here needs, reserves address space.
    "OPENBLAS_NUM_THREADS": "1",
    # Pillow gives the memory of each picture back otherwise, and clearing its pages for the next takes the kernel a
    # quarter of the time of disarming. A block has up to 16 MiB.
    "PILLOW_BLOCKS_MAX": "4",
}
"""What such a process is started with besides paths."""

_OPEN_FILES: Final = 64
_FILE_BYTES: Final = 256 << 20


class Unusable(Exception):  # noqa: N818  says the state of this installation
    """The job cannot be done here by any process until somebody mends something; the text says what."""


def main(memory: int, seconds: float, preload: str) -> None:
    """Until its input ends; bytes of address space, seconds of processor time a job, what to import beforehand."""
    jobs = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    try:
        importlib.import_module(preload)
        _limit(memory)
    except Exception:
        _answer(answers, UNUSABLE, traceback.format_exc().encode())
        return
    _silence()
    # What was imported lives as long as the process: no need to look at it again and again.
    gc.freeze()
    _answer(answers, READY, b"")
    while header := jobs.read(HEADER.size):
        size, _ = HEADER.unpack(header)
        kind, payload = _run(jobs.read(size), seconds)
        _answer(answers, kind, payload)
        if kind == OUT_OF_MEMORY:
            # Nobody knows what a library left half done.
            return


def _run(request: bytes, seconds: float) -> tuple[int, bytes]:
    try:
        job: Callable[..., Any]
        job, args = pickle.loads(request)
        # The default action of its signal ends the process, whatever C code it is in. RLIMIT_CPU counts whole seconds.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            return DONE, msgspec.msgpack.encode(job(*args))
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    except MemoryError:
        return OUT_OF_MEMORY, b""
    except (OSError, Unusable) as error:
        # Decoders' errors have been turned into answers; what is left comes from the disk.
        return UNUSABLE, str(error).encode(errors="replace")
    except Exception as error:
        if "memory" in str(error).lower():  # as OpenCV says it
            return OUT_OF_MEMORY, b""
        return BROKEN, traceback.format_exc().encode(errors="replace")


def _answer(answers: IO[bytes], kind: int, payload: bytes) -> None:
    data = memoryview(HEADER.pack(len(payload), kind) + payload)
    while data:
        data = data[answers.write(data) :]


def _limit(memory: int) -> None:
    wanted = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_FSIZE: _FILE_BYTES,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_CORE: 0,
    }
    for limit, value in wanted.items():
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))


def _silence() -> None:
    """Decoders complain about damaged pictures on standard error, and a job may print: nobody is to read either."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)
