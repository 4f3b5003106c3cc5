"""Asks SPARQL services: the query is built and read by SPARQLWrapper, but carried by the connectors' session.

SPARQLWrapper's own way out, urllib, knows neither the address guard nor pace, byte limits or Retry-After, and a check
of the address before it would not hold for the connection that follows. So only its building and reading are used.
"""

from __future__ import annotations

from email.message import Message
from io import BytesIO
from typing import Any, Final, NamedTuple
from urllib.response import addinfourl

from SPARQLWrapper import GET, JSON, POST, SPARQLWrapper
from SPARQLWrapper.Wrapper import QueryResult

from app.connectors.answers import Answer
from app.connectors.errors import IncompleteError, MalformedError, SourceError
from app.connectors.session import Session

MOST_ROWS: Final = "X-SPARQL-MaxRows"
STATE: Final = "X-SQL-State"
TIMED_OUT: Final = "S1TAT"
MOST_ADDRESS: Final = 6000
"""Characters of an address that servers and what stands before them take; 8 KiB for all of the line is usual."""
TOO_SLOW: Final = (b"TimeoutException", b"QueryTimeout", b"S1T00", b"Query timed out")

Row = dict[str, str]
"""The bound variables of a solution, each as text; addresses whole."""


class Rows(NamedTuple):
    """A page of solutions, and where the next page begins; None at the end."""

    rows: list[Row]
    next: int | None


class SparqlClient:
    """Asks one service. `page`: rows that are asked for at once."""

    def __init__(self, session: Session, page: int) -> None:
        self._session = session
        self._page = page

    async def select(self, query: str, offset: int = 0, *, names_people: bool = False) -> Rows:
        """A page of a SELECT that has an ORDER BY and no LIMIT. Raises SourceError.

        Services cut long answers without a word: a page that is as long as was asked for, or as long as the service
        admits to allow, is never taken for the end. A question goes into the address, as only what has an address can
        be asked about whether it changed (SPARQL 1.1 Protocol, 2.1.1), unless that grows too long or is to name people.
        """
        wrapper = SPARQLWrapper(self._session.url(""))
        wrapper.setQuery(f"{query}\nLIMIT {self._page} OFFSET {offset}")
        wrapper.setReturnFormat(JSON)
        wrapper.setMethod(GET)
        request = wrapper._createRequest()
        if names_people or len(request.full_url) > MOST_ADDRESS:
            wrapper.setMethod(POST)
            request = wrapper._createRequest()
        headers = {"Accept": str(request.get_header("Accept"))}
        data = request.data
        assert data is None or isinstance(data, bytes)
        if data is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        found: list[list[Row]] = []
        answer = await self._session.ask(
            request.full_url,
            method="GET" if data is None else "POST",
            data=data,
            headers=headers,
            called=self._session.url(""),
            decode=lambda answer: found.append(solutions(answer)),
        )
        rows = found[-1]
        allowed = answer.headers.get(MOST_ROWS, "")
        cut = len(rows) >= self._page or (allowed.isdigit() and len(rows) >= int(allowed) > 0)
        return Rows(rows, offset + len(rows) if cut and rows else None)


def solutions(answer: Answer) -> list[Row]:
    """The solutions in an answer. Raises IncompleteError where the service broke off, else MalformedError."""
    if answer.headers.get(STATE, "") == TIMED_OUT:
        raise IncompleteError(f"{answer.url}: the service ran out of time and sent a part of the rows")
    if "json" not in answer.content_type:
        raise answer.malformed("SPARQL results in JSON")
    return parse(answer.body, answer.url)


def parse(body: bytes, place: str = "the answer") -> list[Row]:
    """The solutions in SPARQL 1.1 Query Results JSON. Raises IncompleteError or MalformedError."""
    try:
        said: Any = QueryResult((_body(body), JSON)).convert()
    except (ValueError, TypeError, RecursionError) as error:
        # A service that fails while it writes has already said 200: it breaks off, or writes its error into the JSON.
        raise IncompleteError(f"{place}: the answer breaks off ({error})") from error
    try:
        return [{str(name): str(term["value"]) for name, term in row.items()} for row in said["results"]["bindings"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise MalformedError(f"{place}: no SPARQL results", body) from error


def sparql_fault(answer: Answer) -> SourceError | None:
    """A query that takes too long for the service, which asking again does not mend."""
    if answer.status in (400, 500, 503, 504) and any(word in answer.body for word in TOO_SLOW):
        return SourceError(f"{answer.url}: the query takes the service too long; make `batch` or `page` smaller")
    return None


class _Headers(Message):
    """What SPARQLWrapper chooses its reader by; what the service said was looked at before."""

    def __init__(self) -> None:
        super().__init__()
        self["Content-Type"] = "application/sparql-results+json"


def _body(data: bytes) -> Any:
    body: Any = addinfourl(BytesIO(data), _Headers(), "")
    return body
