"""The records of an XML document, one after the other, in constant memory whatever the document is made to be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from app.connectors.errors import IncompleteError, MalformedError, SourceError

MOST_SILENT: Final = 2 << 20
"""Bytes without an element, or of one record: more is no data."""
SHOWN: Final = 200
NAME: Final = r"(?:\{[^{}]*\})?[^\W\d][\w.-]*"
_PATH: Final = re.compile(rf"(?:\.|(?:{NAME})(?:/(?:{NAME}))*|)/?(?:@(?P<attribute>{NAME}))?")


class FieldPath(NamedTuple):
    """Where a field stands below its record: the path of elements, empty for the record itself, and an attribute."""

    elements: str
    attribute: str | None


def field_path(name: str, text: str) -> FieldPath:
    """A path such as `@film`, `score`, `author/name` or `score/@max`. Raises SourceError."""
    found = _PATH.fullmatch(text)
    if found is None or not text or text.startswith("/") or (text.endswith("/")):
        raise SourceError(f"fields: `{name}`: {text!r} is no path; write it like @film, score, author/name, score/@max")
    attribute = found["attribute"]
    elements = text[: -len(attribute) - 1].rstrip("/") if attribute else text
    steps = [] if elements in ("", ".") else re.findall(NAME, elements)
    # Without a namespace of its own, a name stands for itself in every one.
    return FieldPath("/".join(step if step.startswith("{") else f"{{*}}{step}" for step in steps), attribute)


class XmlRecords:
    """Takes the bytes of a document as they come, gives the rows of its records.

    A document with a DOCTYPE is refused: no entity of its own is needed for data, and all the known attacks need one.
    """

    def __init__(self, etree: Any, record: str, fields: Mapping[str, FieldPath], place: str) -> None:
        self._etree, self._record, self._fields, self._place = etree, record, fields, place
        self._parser = etree.XMLPullParser(
            events=("start", "end"), resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False,
            dtd_validation=False, remove_comments=True, remove_pis=True,
        )  # fmt: skip
        self._began = b""
        self._silent = 0
        self._depth = self._inside = 0
        self._seen = False

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """The rows that are whole now. Raises MalformedError."""
        self._began = self._began or data[:SHOWN]
        self._silent += len(data)
        try:
            self._parser.feed(data)
            yield from self._rows()
            # An entity that nobody declared ends the document without a word, until it is closed.
            for fatal in self._parser.feed_error_log.filter_from_fatals():
                raise MalformedError(f"{self._place}: no XML that can be read: {fatal.message}", self._began)
        except self._etree.XMLSyntaxError as error:
            raise MalformedError(f"{self._place}: no XML that can be read: {error}", self._began) from error
        if self._silent > MOST_SILENT:
            what = f"a `{self._record}`" if self._inside else "one piece without an element"
            raise MalformedError(f"{self._place}: {what} is larger than {MOST_SILENT >> 20} MiB", self._began)

    def close(self) -> None:
        """The document has ended. Raises IncompleteError where that is too early."""
        if not self._began:
            raise MalformedError(f"{self._place}: is empty")
        try:
            self._parser.close()
        except self._etree.XMLSyntaxError as error:
            raise IncompleteError(f"{self._place}: the XML ends in the middle: {error}") from error

    def _rows(self) -> Iterator[dict[str, Any]]:
        for event, element in self._parser.read_events():
            if event == "start":
                self._start(element)
                continue
            if self._inside == self._depth:
                self._inside = 0
                yield {name: self._values(element, path) for name, path in self._fields.items()}
            self._depth -= 1
            if not self._inside:
                self._silent = 0
                _forget(element)

    def _start(self, element: Any) -> None:
        if not self._seen:
            self._seen = True
            if element.getroottree().docinfo.internalDTD is not None:
                raise MalformedError(f"{self._place}: has a DOCTYPE, which data does not need: refused", self._began)
        self._depth += 1
        if not self._inside and self._record in (element.tag, element.tag.rpartition("}")[2]):
            self._inside = self._depth

    def _values(self, record: Any, path: FieldPath) -> str | list[str] | None:
        found = [_value(each, path) for each in (record.findall(path.elements) if path.elements else [record])]
        values = [value for value in found if value is not None]
        return values if len(values) > 1 else values[0] if values else None


def _value(element: Any, path: FieldPath) -> str | None:
    if path.attribute is None:
        return "".join(element.itertext())
    value: str | None = element.get(path.attribute)
    return value


def _forget(element: Any) -> None:
    # The last one is kept until the next is there, because the parser still writes behind it.
    element.clear()
    parent = element.getparent()
    if parent is not None:
        while element.getprevious() is not None:
            del parent[0]
