"""A real PostgreSQL of a test's own, on a free loopback port, gone with everything in it when it ends."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.embedded.ports import LOOPBACK, free_port

USER = "marquee"
PASSWORD = "pg-s3cret"
HERE = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")


class PostgresMissingError(Exception):
    """There is no PostgreSQL to start."""


@contextmanager
def postgres() -> Iterator[str]:
    """Its SQLAlchemy address with the password, of an empty database. Raises PostgresMissingError."""
    initdb, pg_ctl = _tool("initdb"), _tool("pg_ctl")
    # The server refuses to run as root, and root's folders cannot be entered by others.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="marquee-pg-"))
    (folder / "password").write_text(PASSWORD)
    try:
        if user:
            _give(folder, user)
        port, data = free_port(), str(folder / "data")
        _run(
            user, initdb, "-D", data, "-U", USER, "--auth=scram-sha-256", "--no-sync", "--encoding=UTF8",
            f"--pwfile={folder / 'password'}", "--no-locale",
        )  # fmt: skip
        options = f"-c listen_addresses={LOOPBACK} -c port={port} -c fsync=off -c unix_socket_directories="
        _run(user, pg_ctl, "-D", data, "-w", "-t", "60", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql+asyncpg://{USER}:{PASSWORD}@{LOOPBACK}:{port}/postgres"
        finally:
            _run(user, pg_ctl, "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tool(name: str) -> str:
    found = shutil.which(name)
    places = sorted(str(place) for pattern in HERE for place in Path("/").glob(f"{pattern[1:]}/{name}"))
    if found is None and not places:
        raise PostgresMissingError(f"no {name} here: install PostgreSQL (Debian: apt-get install postgresql)")
    return found or places[-1]


def _give(folder: Path, user: str) -> None:
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise PostgresMissingError(f"PostgreSQL does not run as root, and there is no user {user}") from None
    for path in (folder, folder / "password"):
        os.chown(path, entry.pw_uid, entry.pw_gid)


def _run(user: str | None, *command: str) -> None:
    done = subprocess.run(
        command, user=user, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/",
        timeout=120, check=False, text=True, env={**os.environ, "LC_ALL": "C"},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stdout[-1000:]}")
