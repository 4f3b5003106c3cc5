"""The check of `marquee doctor` that says how long what sources limit stays on the broker."""

from __future__ import annotations

import asyncio
from typing import Final

from app.cli.checks import SECONDS, Check
from app.embedded.addresses import running
from app.settings import Settings

DAY_MS: Final = 86_400_000


async def check_terms(settings: Settings) -> Check:
    """Whether records whose sources limit their storage leave the broker in time; documents always do."""
    from app.connectors.storage_terms import days_stored

    limits = days_stored(settings)
    if not limits:
        return Check("terms", True, "no connector limits how long its data may be stored")
    days = min(limits.values())
    told = ", ".join(f"{name} {each} days" for name, each in limits.items())
    here = running(settings.data_dir)
    if settings.broker.embedded or (here is not None and here.broker == settings.broker.url):
        return Check("terms", True, f"{told}: documents and archive hourly, the embedded broker at its next start")
    try:
        kept = await asyncio.wait_for(retention(settings), 2 * SECONDS)
    except Exception as error:
        return Check("terms", True, f"{told}; topics not looked at ({type(error).__name__})"[:300])
    longer = [topic for topic, ms in sorted(kept.items()) if ms < 0 or ms > days * DAY_MS]
    if not longer:
        return Check("terms", True, f"{told}: documents hourly, topics as the brokers expire them")
    fix = (
        f"to bound that, set retention.ms={days * DAY_MS} on these topics (kafka-configs --alter), which workers leave "
        "as it is while connectors limit it so; what expires there can no longer be learnt anew"
    )
    return Check("terms", True, f"{told}: documents go hourly, but records stay for longer on {', '.join(longer)}", fix)


async def retention(settings: Settings) -> dict[str, int]:
    """How many milliseconds the topics that carry such records keep them on the brokers; -1: for ever."""
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

    from app.embedded.expire import LIMITED

    admin = AIOKafkaAdminClient(bootstrap_servers=settings.servers, request_timeout_ms=5_000)
    await admin.start()
    try:
        there = LIMITED.intersection(await admin.list_topics())
        asked = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in sorted(there)]
        answers = await admin.describe_configs(asked) if asked else []
    finally:
        await admin.close()
    found = {}
    for _, _, _, topic, configs in (each for answer in answers for each in answer.resources):
        said = {name: value for name, value, *_ in configs}
        found[topic] = int(said.get("retention.ms") or -1)
    return found
