"""What a site asks of programs in its robots.txt, before anything else of it is asked for."""

from __future__ import annotations

from app.connectors.errors import BlockedError, RetryableError
from app.connectors.fetch import Fetcher
from app.connectors.guard import authority


async def asked_pause(fetcher: Fetcher, url: str, shown: str) -> float:
    """Seconds that the site wants between two requests; 0 where it asks for none.

    Raises BlockedError where it wants to be left alone, RetryableError where its pause outlasts our patience or its
    rules cannot be had now, and what the guard says where they lie at a private address.
    """
    try:
        allows = await fetcher.robots.allows(url)
    except RetryableError as error:
        raise RetryableError(f"{shown}: robots.txt cannot be read now: {error}", error.after, only_here=True) from None
    if not allows:
        raise BlockedError(f"{shown}: robots.txt asks programs to leave it alone", only_here=True)
    pause = fetcher.robots.delay(url)
    left = fetcher.shared.spacing(authority(url)).left() if pause else 0.0
    if left > fetcher.patience:
        raise RetryableError(f"{shown}: robots.txt asks for {pause:.0f} s between requests: run again later", left)
    return pause
