"""A SPARQL 1.1 protocol server over a real Oxigraph store, with data shaped as Wikidata's and DBpedia's is."""

from __future__ import annotations

import msgspec
import pyoxigraph
from aiohttp import web

from tests.connectors.service import Service

PREFIXES = """
@prefix wd: <http://www.wikidata.org/entity/> .
@prefix wds: <http://www.wikidata.org/entity/statement/> .
@prefix wdv: <http://www.wikidata.org/value/> .
@prefix wdt: <http://www.wikidata.org/prop/direct/> .
@prefix p: <http://www.wikidata.org/prop/> .
@prefix ps: <http://www.wikidata.org/prop/statement/> .
@prefix psv: <http://www.wikidata.org/prop/statement/value/> .
@prefix pq: <http://www.wikidata.org/prop/qualifier/> .
@prefix wikibase: <http://wikiba.se/ontology#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix dbo: <http://dbpedia.org/ontology/> .
@prefix dbr: <http://dbpedia.org/resource/> .
@prefix dbd: <http://dbpedia.org/datatype/> .
@prefix foaf: <http://xmlns.com/foaf/0.1/> .
@prefix file: <http://commons.wikimedia.org/wiki/Special:FilePath/> .
"""

PEOPLE = """
wd:Q38111 rdfs:label "Leonardo DiCaprio"@en , "Леонардо Ди Каприо"@ru , "AAA Leonardo"@mul ; wdt:P31 wd:Q5 ;
  wdt:P345 "nm0000138" ; wdt:P4985 "6193" ;
  wdt:P18 file:Leonardo%20DiCaprio%202014.jpg , <http://commons.wikimedia.org/wiki/Special:FilePath/B%C3%A9ar.png> .
wd:Q200534 rdfs:label "Tilda Swinton"@mul ; wdt:P31 wd:Q5 ; wdt:P345 "nm0842770" ; wdt:P4985 "3063" ;
  wdt:P18 file:Tilda.jpg .
wd:Q58444 rdfs:label "Liam Neeson"@en ; wdt:P31 wd:Q5 ; wdt:P345 "nm0000553" ; wdt:P4985 "3896" ;
  wdt:P18 <https://elsewhere.example/Special:FilePath/x.jpg> .
wd:Q900 rdfs:label "John Smith"@en ; wdt:P31 wd:Q5 ; wdt:P345 "nm0000900" .
wd:Q901 rdfs:label "John Smith"@en ; wdt:P31 wd:Q5 ; wdt:P345 "nm0000901" .
wd:Q902 rdfs:label "Jane Roe"@en ; wdt:P31 wd:Q5 ; wdt:P345 "nm0000902" .
wd:Q903 rdfs:label "Jane Roe"@en ; wdt:P31 wd:Q5 .
wd:Q904 wdt:P31 wd:Q5 .
"""

FILMS = """
wd:Q25188 rdfs:label "Inception"@en ; wdt:P345 "tt1375666" ; wdt:P4947 "27205" ;
  wdt:P577 "2010-07-16T00:00:00Z"^^xsd:dateTime , "2010-07-08T00:00:00Z"^^xsd:dateTime ;
  wdt:P136 wd:Q1 , wd:Q2 ; p:P2047 wds:Q25188-1 ; p:P2130 wds:Q25188-2 , wds:Q25188-3 ;
  p:P444 wds:Q25188-10 , wds:Q25188-11 .
wd:Q1 rdfs:label "science fiction film"@en . wd:Q2 rdfs:label "heist film"@en , "фильм-ограбление"@ru .
wds:Q25188-1 psv:P2047 [ wikibase:quantityAmount 148.0 ; wikibase:quantityUnit wd:Q7727 ] .
wds:Q25188-2 psv:P2130 [ wikibase:quantityAmount 160000000 ; wikibase:quantityUnit wd:Q4917 ] .
wds:Q25188-3 psv:P2130 [ wikibase:quantityAmount 900000000 ; wikibase:quantityUnit wd:Q4916 ] .
wds:Q25188-10 ps:P444 "87%" ; pq:P447 wd:Q105584 ; pq:P585 "2021-05-01T00:00:00Z"^^xsd:dateTime .
wds:Q25188-11 ps:P444 "74/100" ; pq:P447 wd:Q150248 .
wd:Q105584 rdfs:label "Rotten Tomatoes"@mul . wd:Q150248 rdfs:label "Metacritic"@en .
wd:Q83495 rdfs:label "The Matrix"@en ; wdt:P345 "tt0133093" ; wdt:P4947 "603" ;
  wdt:P577 "1999-03-31T00:00:00Z"^^xsd:dateTime ; p:P444 wds:Q83495-1 .
wds:Q83495-1 ps:P444 "7.8/10" .
wd:Q171048 rdfs:label "Toy Story"@en ; wdt:P345 "tt0114709" ; wdt:P4947 "862" .
"""

DBPEDIA = """
dbr:Inception owl:sameAs wd:Q25188 , <http://fr.dbpedia.org/resource/Inception> ; rdfs:label "Inception"@en ;
  dbo:abstract "Inception is a film."@en , "Inception est un film."@fr ; dbo:runtime 8880.0 ;
  dbo:budget "1.6E8"^^dbd:usDollar .
dbr:The_Matrix owl:sameAs wd:Q83495 ; rdfs:label "The Matrix"@en ; dbo:abstract "The Matrix is a film."@en .
dbr:Toy_Story owl:sameAs wd:Q171048 ; rdfs:label "Toy Story"@en ; dbo:runtime 4860.0 .
dbr:Leonardo_DiCaprio owl:sameAs wd:Q38111 ; rdfs:label "Leonardo DiCaprio"@en ; foaf:depiction file:Leo.jpg .
dbr:Tilda_Swinton owl:sameAs wd:Q200534 ; rdfs:label "Tilda Swinton"@en .
"""


class Oxigraph(Service):
    """The protocol as W3C states it, by GET and by form; `cut` rows at the most are sent, as Virtuoso cuts them."""

    def __init__(self, *turtle: str, cut: int = 0) -> None:
        super().__init__()
        self.store = pyoxigraph.Store()
        self.store.load("".join([PREFIXES, *turtle]).encode(), format=pyoxigraph.RdfFormat.TURTLE)
        self.cut = cut

    async def answer(self, request: web.Request) -> web.Response:
        """Solutions in JSON, or what is wrong with the question in plain text."""
        asked = request.query if request.method == "GET" else await request.post()
        assert "application/sparql-results+json" in request.headers["Accept"]
        try:
            found = self.store.query(str(asked["query"]))
        except SyntaxError as error:
            return web.Response(status=400, text=str(error))
        assert isinstance(found, pyoxigraph.QuerySolutions)
        body = found.serialize(format=pyoxigraph.QueryResultsFormat.JSON) or b""
        return self.rows(body)

    def rows(self, body: bytes) -> web.Response:
        """The answer, cut without a word in it."""

        said = msgspec.json.decode(body)
        rows = said["results"]["bindings"]
        headers = {}
        if self.cut and len(rows) >= self.cut:
            said["results"]["bindings"] = rows[: self.cut]
            headers = {"X-SPARQL-MaxRows": str(self.cut)}
        return web.Response(
            body=msgspec.json.encode(said), content_type="application/sparql-results+json", headers=headers
        )
