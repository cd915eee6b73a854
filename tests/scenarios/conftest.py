"""A world that runs, ended with the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.scenarios.world import World


@pytest.fixture
def world(tmp_path) -> Iterator[World]:
    one = World(tmp_path)
    yield one
    one.end()
