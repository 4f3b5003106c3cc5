"""Who asks: the account whose pace and daily quotas a connector's requests come out of."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from app.connectors.config import ConnectorConfig
from app.connectors.errors import QuotaExhaustedError
from app.connectors.guard import authority
from app.connectors.limits import Clock, Ledger, Memory, Quota, Shared, midnight_after


class Account:
    """The account is the service's host with the credential's name: connectors that share both share limits."""

    def __init__(self, config: ConnectorConfig, shared: Shared, clock: Clock) -> None:
        self._config = config
        self._shared = shared
        self._clock = clock
        self.ledger: Ledger = Memory()

    @property
    def name(self) -> str:
        """Kind, host and the credential's variable; never the credential."""
        home = self._config.home()
        host = authority(home) if "://" in home else ""
        return f"{self._config.kind}|{host}|{self._config.token_env or ''}"

    async def pay(self, bucket: str, cost: int) -> int:
        """Wait for the pace and spend `cost` of a bucket's quota; what was spent, 0 where there is no quota.

        Raises QuotaExhaustedError, or RetryableError where an hour's or day's rate is used up.
        """
        quota = self._quota(bucket)
        if quota is not None:
            quota.spend(cost)
        if self._config.rate:
            await self._shared.pace(self.name, self._config.rate).wait()
        return cost if quota is not None else 0

    def exhausted(self, bucket: str, why: str) -> QuotaExhaustedError:
        """The error for a quota that the source says is spent, with the time of its renewal."""
        quota = self._quota(bucket)
        if quota is None:
            until = midnight_after(self._clock.now(), ZoneInfo(self._config.quota_timezone))
            return QuotaExhaustedError(why, until)
        return quota.exhausted(why)

    def _quota(self, bucket: str) -> Quota | None:
        limit = self._config.quotas().get(bucket)
        if limit is None:
            return None
        return Quota(f"{self.name}|{bucket}", limit, self._config.quota_timezone, self.ledger, self._clock.now)
