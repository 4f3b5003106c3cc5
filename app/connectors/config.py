"""The keys that every `[connectors.NAME]` table may have; a kind adds its own and may change the defaults."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from schemas import events

RATE = r"^[1-9]\d*/[smhd]$"
QUOTA = r"^[1-9]\d*/d$"

Rate = Annotated[str, Meta(pattern=RATE, description="requests a second, minute, hour or day of one account: 1/s")]
DailyQuota = Annotated[str, Meta(pattern=QUOTA, description="requests a day of one account, such as 100/d")]
SourceName = Annotated[events.SourceName, Meta(description="source of the records; default: NAME")]
Variable = Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9_]*$", description="environment variable with the credential")]
Days = Annotated[int, Meta(ge=1, le=36_500, description="days that its data may be stored; none: for ever")]
Learnt = Annotated[bool, Meta(description="whether models may learn from its data")]
Attribution = Annotated[str, Meta(max_length=1000, description="what must be shown with its data")]
QuotaZone = Annotated[str, Meta(description="IANA name of the zone whose midnight renews the quota")]
Overdue = Annotated[
    float, Meta(gt=0, le=31_536_000, description="seconds after its date by which a scheduled run is over")
]
Robots = Annotated[bool, Meta(description="whether robots.txt is asked before a page, and its pause kept")]


class Terms(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What the source allows. A kind with terms of its own subclasses this, so that its defaults hold one by one."""

    ttl_days: Days | None = None
    train_allowed: Learnt = True
    attribution: Attribution = ""


class ConnectorConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The keys that every `[connectors.NAME]` table may have."""

    kind: str
    base_url: Annotated[str, Meta(description="address of the service")] = ""
    schedule: Annotated[str, Meta(description="five fields of cron")] | None = None
    timezone: Annotated[str, Meta(description="IANA name of the schedule's time zone")] = "UTC"
    catchup: Annotated[bool, Meta(description="whether runs that were missed are made up for")] = False
    retries: Annotated[int, Meta(ge=0, le=100, description="tries after the first of one request")] = 3
    max_active_runs: Annotated[int, Meta(ge=1, le=100)] = 1
    sla: Overdue | None = None
    rate: Rate | None = None
    quota: DailyQuota | None = None
    quota_timezone: QuotaZone = "UTC"
    robots: Robots = False
    token_env: Variable | None = None
    source: SourceName | None = None
    terms: Terms = Terms()

    def home(self) -> str:
        """Where relative addresses begin. A kind with profiles gives the profile's address where there is none."""
        return self.base_url

    def quotas(self) -> dict[str, str]:
        """Daily quotas by bucket; the one without a name counts all requests that name no other."""
        return {"": self.quota} if self.quota else {}
