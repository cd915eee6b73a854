"""Our SHA-512 is SHA-512."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import sha512


@given(st.binary(max_size=700))
def test_agrees_with_hashlib(data: bytes) -> None:
    assert sha512.pure(data) == hashlib.sha512(data).digest()


@pytest.mark.parametrize("length", [0, 1, 111, 112, 113, 119, 120, 127, 128, 129, 239, 240, 241, 255, 256])
def test_agrees_around_the_edges_of_a_block(length: int) -> None:
    data = b"\xa5" * length
    assert sha512.pure(data) == hashlib.sha512(data).digest() == sha512.digest(data)
