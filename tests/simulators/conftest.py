"""A clock that waiting moves, and the sample clips; nothing here waits for real time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simulators import media
from simulators.pace import ManualClock

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(up_us=7_000_000)


@pytest.fixture(scope="session")
def bunny() -> Path:
    return media.clip("bigbuckbunny")


@pytest.fixture(scope="session")
def bikes() -> Path:
    return media.clip("bikes")
