"""What people write in networks and groups as plain text in which nobody is named."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from selectolax.lexbor import LexborHTMLParser

from app.connectors.film_signs import links_to_films

_HANDLE: Final = re.compile(r"(?<!\w)@[\w-][\w.-]*(?:[@:][\w-][\w.-]*)*")
_USER: Final = re.compile(r"(?<![\w/])/?u(?:ser)?/[\w-]+", re.I)
_MAIL: Final = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_ADDRESS: Final = re.compile(r"https?://[^\s<>\"')\]]+")
LONGEST_TEXT: Final = 200_000


def html_text(html: str) -> tuple[str, list[str]]:
    """The text of a fragment of HTML and the addresses that it links to; paragraphs stay apart."""
    tree = LexborHTMLParser(f"<body>{html}</body>")
    tree.strip_tags(["script", "style"])
    addresses = [href for link in tree.css("a[href]") if (href := link.attributes.get("href"))]
    for node in tree.css("br"):
        node.replace_with("\n")
    for node in tree.css("p, li, blockquote"):
        node.insert_after("\n\n")
    text = tree.body.text() if tree.body is not None else ""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip(), addresses


def nameless(text: str) -> str:
    """A text in which accounts and mail addresses are dots, and which can be written as UTF-8."""
    for pattern, dots in ((_MAIL, "…"), (_HANDLE, "@…"), (_USER, "u/…")):
        text = pattern.sub(dots, text)
    return text.encode("utf-8", "replace").decode()[:LONGEST_TEXT].strip()


def film_addresses(text: str, linked: Iterable[str] = ()) -> tuple[str, ...]:
    """The addresses of films in a text and behind it; all others might lead to people."""
    found = dict.fromkeys((*linked, *_ADDRESS.findall(text)))
    return tuple(each for each in found if len(each) <= 4096 and links_to_films(each))
