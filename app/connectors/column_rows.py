"""Rows of a CSV file whose columns mean what the configuration says they mean."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from typing import Any, Final

from app.connectors.base import Observed, Refused
from app.connectors.lines import MAX_LINE
from app.connectors.rows import RowReader
from schemas.base import Rejected

BOM: Final = "\ufeff"


class ColumnRows:
    """Makes records of lines; a row goes on over the next lines while a quote of its is open.

    `names` are the columns by field; without a `header` they are numbers from 1. An empty `quote`: there are none.
    """

    def __init__(
        self, header: bytes | None, names: Mapping[str, str], reader: RowReader, delimiter: str, quote: str, null: str
    ) -> None:
        """Raises Rejected where the header lacks a column."""
        self._delimiter, self._quote, self._null, self._reader = delimiter, quote, null, reader
        self._open, self._first = b"", 0
        if header is None:
            self._places = {name: int(column) - 1 for name, column in names.items()}
        else:
            there = [cell.strip() for cell in self._cells(header.decode("utf-8", "replace").lstrip(BOM))]
            missing = next((column for column in names.values() if column not in there), None)
            if missing is not None:
                raise Rejected(f"has no column {missing!r}; there is {', '.join(there)[:300]}")
            self._places = {name: there.index(column) for name, column in names.items()}
        self._width = max(self._places.values()) + 1

    @property
    def pending(self) -> bool:
        """Whether the last line belongs to a row that is not whole yet."""
        return bool(self._open)

    def read(self, line: bytes, number: int) -> Iterator[Observed | Refused]:
        """The record that is whole with this line, if it is one."""
        self._first = self._first if self._open else number
        line = self._open + b"\n" + line if self._open else line
        if self._quote and line.count(self._quote.encode()) % 2 and len(line) < MAX_LINE:
            self._open = line
            return
        self._open = b""
        found = self._record(line)
        if found is not None:
            yield found

    def end(self) -> Iterator[Refused]:
        """What is left of a row whose quote was never closed."""
        if self._open:
            yield Refused(self._first, "a quote is never closed", self._open)
            self._open = b""

    def _record(self, line: bytes) -> Observed | Refused | None:
        try:
            if len(line) >= MAX_LINE:
                raise Rejected(f"longer than {MAX_LINE} bytes, or a quote is never closed")
            cells = self._cells(line.decode())
            if len(cells) < self._width:
                raise Rejected(f"{len(cells)} cells, {self._width} are needed")
            row = {name: None if cells[at] == self._null else cells[at] for name, at in self._places.items()}
        except UnicodeDecodeError as error:
            return Refused(self._first, f"not UTF-8 at byte {error.start} of the line", line)
        except Rejected as error:
            return Refused(self._first, str(error), line)
        return self._reader.read(row, f"line {self._first}", self._first)

    def _cells(self, text: str) -> list[str]:
        if not self._quote or self._quote not in text:
            return text.split(self._delimiter)
        options: dict[str, Any] = {"delimiter": self._delimiter, "quotechar": self._quote, "strict": True}
        try:
            return next(csv.reader([text], **options))
        except (csv.Error, StopIteration) as error:
            raise Rejected(f"not CSV: {error}") from error
