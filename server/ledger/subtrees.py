"""Hashes of subtrees of a log, from its stored lines, with the roots of complete ones of 256 and 65,536 leaves remembered.

A proof needs about log₂(size) hashes; without memory each would be made of all lines below it. What is remembered follows
from the lines, so it may be lost at any time. Whoever reads may find new roots; they are handed to `Keep`, which has them
written when the writer next commits.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from agent.core import merkle
from server.database import sql
from server.errors import Unknown

SMALL = 256
LARGE = 65536

Keep = Callable[[int, int, int, bytes], None]
"""(log, first, leaves, hash): remember a root."""


def lines(connection: Connection, log: int, first: int, end: int) -> list[bytes]:
    """The lines [first, end) of a log; Unknown when it is shorter."""
    if first >= end:
        return []
    query = (
        "SELECT first, lines FROM batch WHERE log = :log AND first < :end AND first >= coalesce((SELECT max(first) FROM batch"
        " WHERE log = :log AND first <= :first), 0) ORDER BY first"
    )
    found: list[bytes] = []
    begin = first
    for row in connection.execute(sql(query), {"log": log, "first": first, "end": end}):
        if not found:
            begin = row.first
        found.extend(row.lines.split(b"\n"))
    found = found[first - begin : end - begin]
    if len(found) != end - first:
        raise Unknown(f"lines {first} to {end} are not all here")
    return found


def subtree(connection: Connection, log: int, first: int, end: int, keep: Keep | None = None) -> bytes:
    """Hash of the leaves [first, end), which form a subtree of the RFC 6962 tree."""
    leaves = end - first
    if leaves in (SMALL, LARGE) and first % leaves == 0:
        return _remembered(connection, log, first, leaves, keep)
    if leaves <= SMALL:
        return _hashed(connection, log, first, end)
    middle = first + merkle.split(leaves)
    return merkle.node_hash(subtree(connection, log, first, middle, keep), subtree(connection, log, middle, end, keep))


def _hashed(connection: Connection, log: int, first: int, end: int) -> bytes:
    return merkle.root_of([merkle.leaf_hash(line) for line in lines(connection, log, first, end)])


def _remembered(connection: Connection, log: int, first: int, leaves: int, keep: Keep | None) -> bytes:
    query = "SELECT hash FROM subtree WHERE log = :log AND leaves = :leaves AND first = :first"
    row = connection.execute(sql(query), {"log": log, "leaves": leaves, "first": first}).first()
    if row is not None:
        return bytes(row.hash)
    if leaves == SMALL:
        found = _hashed(connection, log, first, first + leaves)
    else:
        half = leaves // 2
        found = merkle.node_hash(
            subtree(connection, log, first, first + half, keep), subtree(connection, log, first + half, first + leaves, keep)
        )
    if keep is not None:
        keep(log, first, leaves, found)
    return found
