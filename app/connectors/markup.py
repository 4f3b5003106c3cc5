"""What people read of a piece of HTML, where it links to, and in which charset a page is written."""

from __future__ import annotations

import codecs
import re
from typing import Any, Final
from urllib.parse import urljoin

from app.connectors.extras import extra

BLOCKS: Final = "p, div, li, tr, h1, h2, h3, h4, h5, h6, blockquote, section, article, pre"
NOT_READ: Final = "script, style, template, noscript"
MOST_ADDRESSES: Final = 50
LONGEST_ADDRESS: Final = 4096
LOOKED_AT: Final = 2048
"""Bytes at the beginning of a page in which it may name its charset; browsers look at 1024."""

_BOMS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_META: Final = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{2,40})", re.I)
_DECLARED: Final = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9_.:-]{2,40})")
_LATIN: Final = frozenset({"ascii", "iso8859-1"})


def document(html: str, kind: str) -> Any:
    """A parsed page or piece of one. Raises SourceError where the parser is not installed."""
    return extra("selectolax.lexbor", kind).LexborHTMLParser(html)


def plain_text(html: str, kind: str) -> str:
    """The text of a piece of HTML, a line for each block. Raises SourceError as `document`."""
    if "<" not in html and "&" not in html:
        return _tidy(html)
    tree = document(html, kind)
    for node in tree.css(NOT_READ):
        node.decompose()
    for node in tree.css("br"):
        node.replace_with("\n")
    for node in tree.css(BLOCKS):
        node.insert_before("\n")
        node.insert_after("\n")
    return _tidy(tree.body.text() if tree.body is not None else "")


def links_in(html: str, base: str, kind: str) -> list[str]:
    """The web addresses that a piece of HTML links to, without repeats. Raises SourceError as `document`."""
    if "<a" not in html.lower():
        return []
    found = (web_address(node.attributes.get("href"), base) for node in document(html, kind).css("a[href]"))
    return list(dict.fromkeys(address for address in found if address))[:MOST_ADDRESSES]


def web_address(href: str | None, base: str) -> str | None:
    """An absolute http(s) address; None for anything else."""
    if not href:
        return None
    try:
        address = urljoin(base, href.strip())
    except ValueError:
        return None
    return address if address.startswith(("http://", "https://")) and len(address) <= LONGEST_ADDRESS else None


def page_text(body: bytes, header: str = "") -> str:
    """The text of a page: by its byte order mark, the charset of the Content-Type `header`, then what it says itself.

    A page that says nothing is UTF-8 if it can be, else Windows-1252, as browsers have it.
    """
    for bom, name in _BOMS:
        if body.startswith(bom):
            return body[len(bom) :].decode(name, "replace")
    named = header.lower().partition("charset=")[2].partition(";")[0].strip(" \"'")
    inside = _DECLARED.search(body[:LOOKED_AT]) or _META.search(body[:LOOKED_AT])
    for said in (named, inside[1].decode() if inside else ""):
        codec = _codec(said)
        # A page that could be read so far to find its charset is not written in two bytes a letter.
        if codec is not None and not (said != named and codec.startswith("utf-16")):
            return body.decode(codec, "replace")
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body.decode("cp1252", "replace")


def _codec(name: str) -> str | None:
    try:
        found = codecs.lookup(name) if name else None
    except LookupError:
        return None
    # Not every codec is one of text, and what calls itself Latin-1 is Windows-1252 on the web.
    if found is None or not getattr(found, "_is_text_encoding", True):
        return None
    return "cp1252" if found.name in _LATIN else found.name


def _tidy(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)
