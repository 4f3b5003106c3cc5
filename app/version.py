"""Which Marquee this is."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final


def _installed() -> str:
    try:
        return version("marquee")
    except PackageNotFoundError:
        return "0.0.0"


VERSION: Final = _installed()
