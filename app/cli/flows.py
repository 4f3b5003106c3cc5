"""`marquee topics, topology, schemas, asyncapi`: what flows where, for people and as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from app.cli.call import Call, command
from app.cli.output import print_json, print_table, write_or_print

OUT = click.Path(path_type=Path)


def add_to(main: click.Group) -> None:
    """Add these commands."""
    mermaid = click.Option(["--mermaid"], is_flag=True, help="Print a Mermaid flow chart.")
    folder = click.Option(["--out"], type=OUT, metavar="DIR", help="Write one file a version of a record.")
    file = click.Option(["--out"], type=OUT, metavar="FILE", help="Write into a file.")
    command(main, "topics", example="marquee topics --json")(_topics)
    command(main, "topology", mermaid, example="marquee topology --mermaid")(_topology)
    command(main, "schemas", folder, example="marquee schemas --out schemas.d")(_schemas)
    command(main, "asyncapi", file, example="marquee asyncapi --out asyncapi.json")(_asyncapi)


def _topics(call: Call) -> None:
    """Every topic: partitions, what it carries, how long, who reads and writes it."""
    from app.delivery.topics import FOR_EVER, partitions
    from app.topology import film_topology
    from schemas.catalogue import topics

    settings = call.own_settings()
    counts, stages = partitions(settings), film_topology().stages
    rows: list[dict[str, Any]] = [
        {
            "topic": topic,
            "layout": records[0].layout.value,
            "partitions": counts[topic],
            "key": records[0].key_field,
            "records": [record.__name__ for record in records],
            "retention_days": None if topic in FOR_EVER else settings.topics.retention_days,
            "written_by": [stage.name for stage in stages if any(r.topic == topic for r in stage.emits)]
            + OUTSIDE.get(topic, []),
            "read_by": [stage.name for stage in stages if stage.topic == topic],
        }
        for topic, records in topics().items()
    ]
    if call.as_json:
        print_json(rows)
        return
    for row in rows:
        row["retention_days"] = "for ever" if row["retention_days"] is None else f"{row['retention_days']:g} days"
    names = ["topic", "layout", "partitions", "key", "records", "retention_days", "written_by", "read_by"]
    headings = [name.replace("_", " ") for name in [*names[:5], "kept", *names[6:]]]
    print_table(headings, [[_listed(row[name]) for name in names] for row in rows])


OUTSIDE = {
    "input": ["anyone"],
    "ratings": ["connectors", "anyone"],
    "reviews": ["connectors", "anyone"],
    "facts": ["connectors", "anyone"],
    "celebrity-submissions": ["connectors"],
    "film-mentions": ["connectors", "marquee"],
    "images-found": ["connectors", "anyone"],
    "images-fetched": ["marquee"],
    "scrape-requests": ["marquee"],
    "scrape-runs": ["connectors"],
    "control": ["marquee"],
    "dead-letters": ["any stage"],
}
"""Who writes a topic besides the stages."""


def _listed(value: Any) -> Any:
    return ", ".join(value) or "-" if isinstance(value, list) else value


def _topology(call: Call, mermaid: bool) -> None:
    """Every stage of the pipeline, in the order in which an event meets them."""
    from app.topology import film_topology

    stages = film_topology().stages
    if mermaid:
        click.echo(_flow_chart(stages))
        return
    rows: list[dict[str, Any]] = [
        {
            "stage": stage.name,
            "kind": stage.kind.value,
            "reads": stage.topic,
            "records": [record.__name__ for record in stage.reads],
            "emits": list(dict.fromkeys(record.topic for record in stage.emits)),
            "table": stage.table.name if stage.table and stage.table.sections else None,
            "looks_up": [table.name for table in stage.looks_up],
        }
        for stage in stages
    ]
    if call.as_json:
        print_json(rows)
        return
    print_table([name.replace("_", " ") for name in rows[0]], [[_listed(v) for v in row.values()] for row in rows])


def _flow_chart(stages: Any) -> str:
    lines = ["flowchart LR"]
    for stage in stages:
        node = f"stage_{stage.name.replace('-', '_')}"
        lines.append(f"    {_topic_node(stage.topic)} --> {node}([{stage.name}])")
        emitted = dict.fromkeys(record.topic for record in stage.emits)
        lines += [f"    {node} --> {_topic_node(topic)}" for topic in emitted]
    return "\n".join(lines)


def _topic_node(topic: str) -> str:
    return f"topic_{topic.replace('-', '_')}[({topic})]"


def _schemas(call: Call, out: Path | None) -> None:
    """JSON Schema (2020-12) of every version of every record."""
    from schemas.json_schema import json_schemas

    found = json_schemas()
    if out is None:
        if call.as_json:
            print_json(found)
        else:
            print_table(["file", "id"], [[name, schema["$id"]] for name, schema in found.items()])
        return
    for name, schema in found.items():
        out.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n")
    if call.as_json:
        print_json([str(out / name) for name in found])
    else:
        click.echo(f"wrote {len(found)} schemas into {out}")


def _asyncapi(call: Call, out: Path | None) -> None:
    """The AsyncAPI 3.0 document of all topics, records and stages."""
    from app.asyncapi import asyncapi

    document = msgspec.json.encode(asyncapi(call.settings()))
    write_or_print(msgspec.json.format(document, indent=2).decode(), out)
