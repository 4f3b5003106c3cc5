"""Which process is ours: pid files that survive a kill, and the end of what an earlier run left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

GRACE_SECONDS: Final = 5.0


class PidFile(msgspec.Struct, frozen=True):
    """A process as it was when it started; `identity` tells it from a later one with the same number."""

    pid: int
    identity: str


def identity(pid: int) -> str | None:
    """What no other process that ever had this pid shares: its boot and start time. None where it has ended."""
    if sys.platform == "linux":
        return _linux_identity(pid)
    listed = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = listed.stdout.strip().partition(" ")
    return None if not started or state.startswith("Z") else started.strip()


def _linux_identity(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name in brackets may hold spaces and brackets of its own; the state is the first field after it.
    fields = stat.rpartition(")")[2].split()
    if fields[0] in "ZX":
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}:{fields[19]}"


def remember(path: Path, pid: int) -> None:
    """Note a child that has just been started."""
    found = identity(pid)
    if found is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(PidFile(pid, found)))


def forget(path: Path) -> None:
    """Take the note away."""
    path.unlink(missing_ok=True)


def end_leftover(path: Path) -> bool:
    """End the process that the note names, if it is still that very process; whether there was one."""
    try:
        noted = msgspec.json.decode(path.read_bytes(), type=PidFile)
    except FileNotFoundError:
        return False
    except msgspec.DecodeError:
        forget(path)
        return False
    ours = identity(noted.pid) == noted.identity
    if ours:
        _end(noted)
    forget(path)
    return ours


def _end(noted: PidFile) -> None:
    for sent in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(noted.pid, sent)
        give_up = time.monotonic() + GRACE_SECONDS
        while identity(noted.pid) == noted.identity:
            if time.monotonic() > give_up:
                break
            time.sleep(0.02)
        else:
            return
