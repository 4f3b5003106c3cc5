"""Lets the inherited suite say what its assertions compared."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.connectors.suite")
