"""OpenTelemetry spans, as an extra: an event's correlation id is its trace, its causation id the parent span."""

from __future__ import annotations

import hashlib
import os
import time
from typing import Any, Protocol

from agents.messages import Message
from schemas.base import Record


class Tracer(Protocol):
    """Is told of each event that a stage has handled."""

    def handled(self, stage: str, emits: bool, message: Message[Record], started_ns: int) -> None:
        """An event was handled; `started_ns` is in nanoseconds since 1970."""


def make_tracer(service: str) -> Tracer | None:
    """A tracer where the extra `otel` is installed and OTEL_EXPORTER_OTLP_ENDPOINT says where spans go."""
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return EventTracer(service, BatchSpanProcessor(OTLPSpanExporter()))


def trace_id(correlation_id: str) -> int:
    """The 128-bit trace of a story; the same in every process, with nothing carried along."""
    return int.from_bytes(hashlib.blake2b(correlation_id.encode(), digest_size=16).digest(), "big") or 1


def span_id(event_id: str, stage: str = "") -> int:
    """The 64-bit span of an event in the stage that makes others of it, or in another `stage` that reads it too.

    One stage at most makes events of a topic's records, so an event's cause names its parent span.
    """
    return int.from_bytes(hashlib.blake2b(f"{event_id}/{stage}".encode(), digest_size=8).digest(), "big") or 1


class EventTracer:
    """Makes one span an event and stage, with ids that follow from the event's own."""

    def __init__(self, service: str, processor: Any) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

        tracer = self

        class Ids(RandomIdGenerator):
            def generate_span_id(self) -> int:
                return tracer._next_span

        self._next_span = 1
        provider = TracerProvider(resource=Resource.create({"service.name": service}), id_generator=Ids())
        provider.add_span_processor(processor)
        self._tracer = provider.get_tracer("marquee")

    def handled(self, stage: str, emits: bool, message: Message[Record], started_ns: int) -> None:
        """Record the span of an event."""
        from opentelemetry import trace

        envelope = message.envelope
        self._next_span = span_id(envelope.id, "" if emits else stage)
        parent = trace.SpanContext(
            trace_id(envelope.correlation_id),
            span_id(envelope.causation_id or f"{envelope.id}/outside"),
            is_remote=True,
            trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
        )
        span = self._tracer.start_span(
            stage,
            context=trace.set_span_in_context(trace.NonRecordingSpan(parent)),
            start_time=started_ns,
            attributes={
                "messaging.system": "kafka",
                "messaging.destination.name": message.topic,
                "messaging.kafka.offset": message.offset,
                "messaging.destination.partition.id": str(message.partition),
                "marquee.event_id": envelope.id,
                "marquee.correlation_id": envelope.correlation_id,
                "marquee.causation_id": envelope.causation_id or "",
                "marquee.key": message.data.key,
            },
        )
        span.end(end_time=time.time_ns())
