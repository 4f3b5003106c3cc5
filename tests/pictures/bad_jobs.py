"""Jobs for the sandbox that do what a hostile picture may make a decoder do."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import time
from pathlib import Path

from app.pictures.sandbox_child import Unusable


def double(number: int) -> int:
    """A job that is no trouble."""
    return 2 * number


def process_id() -> int:
    """Which process does it."""
    return os.getpid()


def allocate() -> int:
    """Takes memory without end."""
    hoard = []
    while True:
        hoard.append(bytearray(64 << 20))


def allocate_in_c() -> int:
    """Takes memory in a library, which does not know Python's MemoryError."""
    import numpy as np

    return int(np.ones(1 << 40, dtype=np.uint8).sum())


def compute() -> int:
    """Computes without end."""
    while True:
        pass


def wait() -> int:
    """Waits without end."""
    time.sleep(600)
    return 0


def crash() -> int:
    """Reads where nothing is."""
    return ctypes.string_at(0)[0]


def kill_itself() -> int:
    """As the system's out-of-memory killer does."""
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def leave() -> int:
    """Ends the process as if all were well."""
    os._exit(0)


def die_once(mark: str) -> int:
    """Dies the first time, as when somebody else's memory ran out."""
    path = Path(mark)
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 1


def lie() -> int:
    """Answers with something else than it says."""
    return "no number"  # type: ignore[return-value]


def forge() -> int:
    """Writes an answer of its own, as a taken-over decoder might."""
    for descriptor in range(3, 20):
        try:
            os.write(descriptor, b"\xff" * 64)
        except OSError:
            continue
    return 0


def fall_silent() -> int:
    """Closes every pipe and lives on."""
    os.closerange(0, 64)
    time.sleep(600)
    return 0


def chatter() -> int:
    """Prints where answers used to go."""
    os.write(1, b"noise" * 1000)
    os.write(2, b"noise" * 1000)
    return 7


def fail() -> int:
    """Has a bug."""
    raise ZeroDivisionError("a bug")


def fill_disk() -> int:
    """Finds no room."""
    raise OSError(errno.ENOSPC, "No space left on device")


def lack_weights() -> int:
    """Needs what is not installed."""
    raise Unusable("install the extra")


def large() -> bytes:
    """Answers with more than anybody asked for."""
    return bytes(8 << 20)


def kept_blocks() -> int:
    """How many blocks of memory Pillow keeps for the next picture."""
    from PIL import Image

    return int(Image.core.get_blocks_max())


def environment() -> list[str]:
    """The names in the environment."""
    return sorted(os.environ)


def limits() -> tuple[int, int, int]:
    """Address space, open files and core dumps that it may have."""
    wanted = (resource.RLIMIT_AS, resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)
    space, files, core = (resource.getrlimit(limit)[0] for limit in wanted)
    return space, files, core
