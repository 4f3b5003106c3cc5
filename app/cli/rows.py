"""Reads films and celebrities from CSV, JSON or NDJSON files, a row at a time, and says which rows are bad."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import msgspec

from app.cli.call import CliError
from schemas.commands import PushCelebrity, PushFilm

Pushed = PushFilm | PushCelebrity
MAX_ROW: Final = 1 << 20
CHUNK: Final = 1 << 16


class Row(NamedTuple):
    """One row: the line it begins on, what it says, or what is wrong with it; `position` in characters."""

    line: int
    position: int
    pushed: Pushed | None
    fault: str | None = None


Found = Iterator[tuple[int, int, Any]]
"""Line, characters read so far, and the row as plain data; a ValueError in its place where it cannot be read."""


def open_text(path: Path) -> IO[str]:
    """A text file, which may be compressed with gzip. Raises CliError."""
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror or error}") from error
    # Bytes that are no UTF-8 spoil their own row only.
    how = {"encoding": "utf-8-sig", "errors": "surrogateescape", "newline": ""}
    return gzip.open(path, "rt", **how) if zipped else path.open("r", **how)  # type: ignore[call-overload, no-any-return]


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file, whose format its name tells (before `.gz`). Raises CliError for another format, at once."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    reader = FORMATS.get(suffixes[-1] if suffixes else "")
    if reader is None:
        raise CliError(f"{path}: name it .csv, .json or .ndjson (and .gz after that), so that its format is known")
    return _rows(open_text(path), reader)


def _rows(opened: IO[str], reader: Callable[[IO[str]], Found]) -> Iterator[Row]:
    line = position = 0
    with opened as file:
        try:
            for line, position, found in reader(file):
                yield _row(line, position, found)
        except (EOFError, OSError, zlib.error) as error:
            yield Row(line + 1, position, None, f"cannot be read any further: {error}")


def _row(line: int, position: int, found: Any) -> Row:
    try:
        if isinstance(found, ValueError):
            raise found
        if not isinstance(found, dict):
            raise ValueError("a row must be an object with a title or a name")
        said = {key: value for key, value in found.items() if key and value not in (None, "")}
        said.setdefault("type", "celebrity" if "name" in said and "title" not in said else "film")
        said["type"] = str(said["type"]).lower()
        json.dumps(said, ensure_ascii=False).encode()
        return Row(line, position, msgspec.convert(said, Pushed, strict=False))
    except UnicodeError:
        return Row(line, position, None, "not UTF-8")
    except ValueError as error:
        return Row(line, position, None, str(error))


def _csv(file: IO[str]) -> Found:
    position = 0

    def counted() -> Iterator[str]:
        nonlocal position
        while text := file.readline(MAX_ROW):
            position += len(text)
            # A NUL would end the whole reading with an error that names no row.
            yield text.replace("\0", "\ufffd")

    reader = csv.reader(counted(), strict=True)
    header: list[str] = []
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, position, ValueError(f"not CSV: {error}")
            continue
        if not header:
            header = [cell.strip() for cell in cells]
            if any(map(_spoilt, header)):
                # Said here too: rows need not follow, and a file in UTF-16 has none that can be told apart.
                yield line, position, UnicodeError()
        elif cells and len(cells) != len(header):
            yield line, position, ValueError(f"{len(cells)} cells where the header has {len(header)}")
        elif cells:
            yield line, position, dict(zip(header, (cell.strip() for cell in cells), strict=True))


def _spoilt(text: str) -> bool:
    """Whether bytes were read into it that are no UTF-8."""
    return any("\udc80" <= sign <= "\udcff" for sign in text)


def _ndjson(file: IO[str]) -> Found:
    position = line = 0
    while text := file.readline(MAX_ROW):
        position, line = position + len(text), line + 1
        if len(text) == MAX_ROW and not text.endswith("\n"):
            while (rest := file.readline(MAX_ROW)) and not rest.endswith("\n"):
                position += len(rest)
            yield line, position, ValueError(f"longer than {MAX_ROW} characters")
        elif text.strip():
            yield line, position, _json(text)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        return ValueError(f"not JSON: {error}")
    except RecursionError:
        return ValueError("not JSON: nested too deep")


class _Window:
    """The part of a JSON text that is being looked at; never longer than one element and a chunk."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self.text = ""
        self.line = 1
        self.position = 0

    def more(self) -> bool:
        """Read a chunk; False at the end of the file."""
        chunk = self._file.read(CHUNK)
        self.text += chunk
        return bool(chunk)

    def take(self, length: int) -> None:
        """Go on behind the first `length` characters."""
        self.line += self.text.count("\n", 0, length)
        self.position += length
        self.text = self.text[length:]

    def next(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            bare = self.text.lstrip()
            self.take(len(self.text) - len(bare))
            if self.text or not self.more():
                return self.text[:1]


def _json_array(file: IO[str]) -> Found:
    """The elements of one array, or a single object; after what is no JSON nothing more can be told apart."""
    window, decoder = _Window(file), json.JSONDecoder()
    inside = window.next() == "["
    if inside:
        window.take(1)
    while (mark := window.next()) and mark != "]":
        try:
            length, found = _element(window, decoder)
        except ValueError as error:
            yield window.line, window.position, ValueError(f"not JSON: {error}; nothing after it was read")
            return
        yield window.line, window.position, found
        window.take(length)
        mark = window.next()
        if mark == ",":
            window.take(1)
        elif mark != "]" and (mark or inside):
            yield window.line, window.position, ValueError("not JSON: a comma or ] is missing; nothing more was read")
            return
    if inside and not mark:
        yield window.line, window.position, ValueError("not JSON: the file ends before its last ]")


def _element(window: _Window, decoder: json.JSONDecoder) -> tuple[int, Any]:
    while True:
        try:
            found, length = decoder.raw_decode(window.text)
        except (ValueError, RecursionError) as error:
            if len(window.text) > MAX_ROW or not window.more():
                raise ValueError(str(error) or "nested too deep") from error
            continue
        # A number or word that ends with the chunk may go on in the next one.
        if length < len(window.text) or not window.more():
            return length, found


FORMATS: Final[dict[str, Callable[[IO[str]], Found]]] = {
    ".csv": _csv,
    ".json": _json_array,
    ".ndjson": _ndjson,
    ".jsonl": _ndjson,
}
