"""Ties a command to its parent: started by path in a bare interpreter, it sets that up and becomes the command.

`subprocess` could do the same in `preexec_fn`, but that runs Python between fork and exec in a process
that has threads, which may deadlock.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Arguments: the parent's pid, the niceness to add, then the command. Does not return."""
    parent, nice, command = int(argv[0]), int(argv[1]), argv[2:]
    if sys.platform == "linux":
        # SIGKILL: the parent is gone, so nobody is left to insist; each server's storage survives it.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit("the parent ended before its child began")
    os.nice(nice)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
