"""Failures, grouped by what the worker does next. `schemas.base.Rejected` is the third: dead-letter it."""

from __future__ import annotations


class Unavailable(Exception):  # noqa: N818  says the state of the world, not of the program
    """An outside service does not answer now: wait, try again, and lose nothing meanwhile."""


class MustStopError(Exception):
    """Going on would do harm: stop this worker and say why."""
