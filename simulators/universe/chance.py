"""Chance: one stream of numbers for each thing that is left to it, all of one seed.

A stream of its own for each thing means that a story which loses an event keeps most of what it left to chance: so stories that
fail can be shortened (`shrink`).
"""

from __future__ import annotations

import hashlib
import random


def stream(seed: int, *names: object) -> random.Random:
    """The stream of that name; the same for the same seed, whatever Python's own hashes are."""
    text = "/".join([str(seed), *map(str, names)])
    return random.Random(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))  # noqa: S311 - chosen by a seed, to be made again
