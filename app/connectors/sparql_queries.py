"""The questions that are put to Wikidata and DBpedia, in SPARQL that every server understands.

No `SERVICE wikibase:label`, which only Wikidata's own server has; labels in "mul" are read too, because Wikidata moves
names that are the same in all languages there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from app.connectors.base import FilmTarget, PersonTarget
from app.connectors.errors import SourceError

PREFIXES: Final = """
PREFIX wd: <http://www.wikidata.org/entity/>
PREFIX wdt: <http://www.wikidata.org/prop/direct/>
PREFIX p: <http://www.wikidata.org/prop/>
PREFIX ps: <http://www.wikidata.org/prop/statement/>
PREFIX psv: <http://www.wikidata.org/prop/statement/value/>
PREFIX pq: <http://www.wikidata.org/prop/qualifier/>
PREFIX wikibase: <http://wikiba.se/ontology#>
PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
PREFIX owl: <http://www.w3.org/2002/07/owl#>
PREFIX dbo: <http://dbpedia.org/ontology/>
PREFIX foaf: <http://xmlns.com/foaf/0.1/>
"""

_PERSON: Final = """
  OPTIONAL {{ ?person rdfs:label ?l FILTER(LANG(?l) = "{language}") }}
  OPTIONAL {{ ?person rdfs:label ?n FILTER(LANG(?n) = "mul") }}
  OPTIONAL {{ ?person wdt:P345 ?i }}
  OPTIONAL {{ ?person wdt:P4985 ?t }}
  OPTIONAL {{ ?person wdt:P18 ?picture }}"""

_PERSON_HEAD: Final = """SELECT {keys} (COALESCE(MIN(?l), MIN(?n)) AS ?label) (MIN(?i) AS ?imdb) (MIN(?t) AS ?tmdb)
  (GROUP_CONCAT(DISTINCT STR(?picture); SEPARATOR=" ") AS ?pictures) WHERE {{"""

FILM_FACTS: Final = """SELECT ?key ?film (COALESCE(MIN(?l), MIN(?n)) AS ?label) (MIN(YEAR(?date)) AS ?year)
  (MIN(?i) AS ?imdb) (MIN(?t) AS ?tmdb) (MIN(?m) AS ?minutes) (MAX(?c) AS ?cost)
  (GROUP_CONCAT(DISTINCT STR(?g); SEPARATOR="|") AS ?genres) WHERE {{
  {given}
  OPTIONAL {{ ?film rdfs:label ?l FILTER(LANG(?l) = "{language}") }}
  OPTIONAL {{ ?film rdfs:label ?n FILTER(LANG(?n) = "mul") }}
  OPTIONAL {{ ?film wdt:P577 ?date }}
  OPTIONAL {{ ?film wdt:P345 ?i }}
  OPTIONAL {{ ?film wdt:P4947 ?t }}
  OPTIONAL {{ ?film p:P2047/psv:P2047 [ wikibase:quantityAmount ?m ; wikibase:quantityUnit wd:Q7727 ] }}
  OPTIONAL {{ ?film p:P2130/psv:P2130 [ wikibase:quantityAmount ?c ; wikibase:quantityUnit wd:Q4917 ] }}
  OPTIONAL {{ ?film wdt:P136/rdfs:label ?g FILTER(LANG(?g) = "{language}") }}
}} GROUP BY ?key ?film ORDER BY ?key ?film"""

FILM_SCORES: Final = """SELECT ?key ?film ?statement (MIN(?s) AS ?score) (MIN(?b) AS ?by) (MIN(?d) AS ?day) WHERE {{
  {given}
  ?film p:P444 ?statement . ?statement ps:P444 ?s .
  OPTIONAL {{ ?statement pq:P447/rdfs:label ?b FILTER(LANG(?b) IN ("{language}", "mul")) }}
  OPTIONAL {{ ?statement pq:P585 ?d }}
}} GROUP BY ?key ?film ?statement ORDER BY ?key ?statement"""

DBPEDIA_FILMS: Final = """SELECT ?key ?film (MIN(?l) AS ?label) (MIN(?a) AS ?plot)
  (MIN(?r) AS ?seconds) (MAX(?c) AS ?cost) WHERE {{
  {given}
  ?film owl:sameAs ?item .
  OPTIONAL {{ ?film rdfs:label ?l FILTER(LANG(?l) = "{language}") }}
  OPTIONAL {{ ?film dbo:abstract ?a FILTER(LANG(?a) = "{language}") }}
  OPTIONAL {{ ?film dbo:runtime ?r }}
  OPTIONAL {{ ?film dbo:budget ?c FILTER(DATATYPE(?c) = <http://dbpedia.org/datatype/usDollar>) }}
}} GROUP BY ?key ?film ORDER BY ?key ?film"""

DBPEDIA_PEOPLE: Final = """SELECT ?key ?person (MIN(?l) AS ?label)
  (GROUP_CONCAT(DISTINCT STR(?picture); SEPARATOR=" ") AS ?pictures) WHERE {{
  {given}
  ?person owl:sameAs ?item .
  OPTIONAL {{ ?person rdfs:label ?l FILTER(LANG(?l) = "{language}") }}
  OPTIONAL {{ ?person foaf:depiction ?picture }}
}} GROUP BY ?key ?person ORDER BY ?key ?person"""


def people(targets: Sequence[PersonTarget], language: str) -> str:
    """Known people by their own ids, ?key being the canonical one; by name where they have none."""
    ways = [
        *_values("person", ((each.id, f"wd:{each.wikidata}") for each in targets if each.wikidata)),
        *_values(
            "person",
            ((each.id, text(str(each.tmdb))) for each in targets if each.tmdb and not each.wikidata),
            "P4985",
        ),
        *_values(
            "person",
            ((each.id, text(each.imdb)) for each in targets if each.imdb and not each.wikidata and not each.tmdb),
            "P345",
        ),
        *_named(targets, language),
    ]
    return (
        f"{PREFIXES}{_PERSON_HEAD.format(keys='?key ?person')} {_union(ways)}{_PERSON.format(language=language)}"
        "\n} GROUP BY ?key ?person ORDER BY ?key ?person"
    )


def people_of(query: str, language: str) -> str:
    """What is known of the people whom a query from the configuration binds to ?person. Raises SourceError."""
    declared = "\n".join(re.findall(r"^\s*PREFIX\s+.*$", query, re.M | re.I))
    body = re.sub(r"^\s*PREFIX\s+.*$", "", query, flags=re.M | re.I).strip()
    if not re.match(r"SELECT\b", body, re.I) or "?person" not in body:
        raise SourceError("query: it must be a SELECT that binds ?person")
    known = {name.lower() for name in re.findall(r"PREFIX\s+(\w*):", declared, re.I)}
    prefixes = "\n".join(line for line in PREFIXES.splitlines() if line.partition(":")[0][7:].lower() not in known)
    return (
        f"{declared}\n{prefixes}\n{_PERSON_HEAD.format(keys='?person')}\n  {{ {body} }}"
        f"{_PERSON.format(language=language)}\n}} GROUP BY ?person ORDER BY ?person"
    )


def films(template: str, targets: Sequence[FilmTarget], language: str) -> str:
    """One of the questions about films above, for films with ids; ?key is the canonical id."""
    ways = [
        *_values("film", ((each.id, f"wd:{each.wikidata}") for each in targets if each.wikidata)),
        *_values("film", ((each.id, text(each.imdb)) for each in targets if each.imdb and not each.wikidata), "P345"),
        *_values(
            "film",
            ((each.id, text(str(each.tmdb))) for each in targets if each.tmdb and not each.wikidata and not each.imdb),
            "P4947",
        ),
    ]
    return PREFIXES + template.format(given=_union(ways), language=language)


def same_as(template: str, targets: Sequence[FilmTarget] | Sequence[PersonTarget], language: str) -> str:
    """One of the questions to DBpedia above, for films or people with a Wikidata item; empty where none has one."""
    ways = _values("item", ((each.id, f"wd:{each.wikidata}") for each in targets if each.wikidata))
    if not ways:
        return ""
    return PREFIXES + template.format(given=_union(ways), language=language)


def _values(variable: str, pairs: Iterable[tuple[str, str]], of: str = "") -> list[str]:
    rows = " ".join(f"({text(key)} {value})" for key, value in pairs)
    if not rows:
        return []
    return [
        f"VALUES (?key ?id) {{ {rows} }} ?{variable} wdt:{of} ?id ."
        if of
        else f"VALUES (?key ?{variable}) {{ {rows} }}"
    ]


def _named(targets: Sequence[PersonTarget], language: str) -> list[str]:
    """Humans of that very name of whom IMDb knows, which film people are."""
    unknown = [each for each in targets if not (each.wikidata or each.imdb or each.tmdb)]
    rows = " ".join(
        f"({text(each.id)} {text(each.name)}@{tag})" for each in unknown for tag in dict.fromkeys((language, "mul"))
    )
    if not rows:
        return []
    return [f"VALUES (?key ?name) {{ {rows} }} ?person rdfs:label ?name ; wdt:P31 wd:Q5 ; wdt:P345 ?known ."]


def _union(ways: Sequence[str]) -> str:
    return " UNION ".join(f"{{ {way} }}" for way in ways)


def text(value: str) -> str:
    """A literal, whatever is in it."""
    plain = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{plain}"'
