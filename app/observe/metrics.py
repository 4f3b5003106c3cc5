"""Every Prometheus metric, named once with its unit and meaning."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY: Final = CollectorRegistry(auto_describe=True)

EVENTS: Final = Counter("marquee_events", "Events that a stage has finished", ["stage"], registry=REGISTRY)
ERRORS: Final = Counter("marquee_errors", "Exceptions while handling events", ["stage", "error"], registry=REGISTRY)
RETRIES: Final = Counter("marquee_retries", "Second and later tries of an event or batch", ["stage"], registry=REGISTRY)
DEAD_LETTERS: Final = Counter(
    "marquee_dead_letters", "Records given up, by kind of reason", ["stage", "reason"], registry=REGISTRY
)
STAGE_SECONDS: Final = Histogram(
    "marquee_stage_seconds",
    "Seconds that a batch of events took in a stage, from read to durable",
    ["stage"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
    registry=REGISTRY,
)
LAG: Final = Gauge(
    "marquee_lag", "Records that wait in a partition for a stage", ["stage", "topic", "partition"], registry=REGISTRY
)
GAP_EVENTS: Final = Counter(
    "marquee_gap_events",
    "Events that delivery skipped and the contiguity guard read again",
    ["stage"],
    registry=REGISTRY,
)
DUPLICATES: Final = Counter(
    "marquee_duplicates", "Redelivered events that changed nothing", ["stage"], registry=REGISTRY
)
REROUTED: Final = Counter(
    "marquee_rerouted", "Records sent on to the partition that their key belongs to", ["stage"], registry=REGISTRY
)
GATE_OPEN: Final = Gauge("marquee_gate_open", "1 while source events are being read", registry=REGISTRY)
MODEL_ERROR: Final = Gauge(
    "marquee_model_error",
    "Prequential error of a model and its baselines, by measure: 0-10 of ratings, the share wrong of answers",
    ["model", "measure"],
    registry=REGISTRY,
)
SNAPSHOT_AGE: Final = Gauge(
    "marquee_snapshot_age_seconds", "Seconds since the model's newest snapshot", ["model"], registry=REGISTRY
)
SNAPSHOTS: Final = Counter("marquee_snapshots", "Snapshots written", ["model"], registry=REGISTRY)
LESSONS: Final = Counter("marquee_lessons", "Training records applied to a model", ["model"], registry=REGISTRY)
SCRAPES: Final = Counter(
    "marquee_scrapes", "Runs of connectors that are over", ["connector", "status"], registry=REGISTRY
)
SCRAPED: Final = Counter(
    "marquee_scraped", "What runs of connectors did: records, rejected, requests ...", ["connector", "what"],
    registry=REGISTRY,
)  # fmt: skip
SCRAPE_SECONDS: Final = Histogram(
    "marquee_scrape_seconds",
    "Seconds that a run of a connector took",
    ["connector"],
    buckets=(0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 36000.0),
    registry=REGISTRY,
)
SCRAPES_LATE: Final = Counter(
    "marquee_scrapes_late",
    "Runs that were not over by the time their connector promises",
    ["connector"],
    registry=REGISTRY,
)
EXPIRED: Final = Counter(
    "marquee_expired",
    "Documents removed because their source does not let them be stored any longer",
    ["collection"],
    registry=REGISTRY,
)
ORPHANS: Final = Counter(
    "marquee_orphan_files",
    "Files of pictures that were removed because nothing names them",
    ["area"],
    registry=REGISTRY,
)


def metric_names() -> frozenset[str]:
    """The names as Prometheus sees them, with the suffixes that counters and histograms get."""
    names: set[str] = set()
    for metric in REGISTRY.collect():
        if metric.type == "counter":
            names.add(f"{metric.name}_total")
        elif metric.type == "histogram":
            names.update(f"{metric.name}{suffix}" for suffix in ("_bucket", "_sum", "_count"))
        else:
            names.add(metric.name)
    return frozenset(names)
