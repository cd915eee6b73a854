"""The genuine material, made once by the real recorder and the real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.adversary import genuine
from simulators.adversary.genuine import Genuine
from simulators.adversary.place import workplace


@pytest.fixture(scope="session")
def material() -> Iterator[Genuine]:
    with workplace() as folder:
        yield genuine.make(folder / "genuine")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of a test's own, where a sync costs nothing."""
    with workplace() as place:
        yield place
