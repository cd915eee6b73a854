"""Writes down which bytes are held, when a recording is stored, and what devices say of themselves. Stages for the writer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from server.database import Transaction
from server.store.catalogue import Fragment, fragment_of, pack, unpack

HOLD = "UPDATE fragment SET held = 1 WHERE track = :track AND seq = :seq AND held = 0"
ROWS = "SELECT seq, line, offset, bytes, sha256, pts, duration, held, lost FROM fragment WHERE track = :track ORDER BY seq"
PACK = "UPDATE track SET packed = :packed WHERE id = :track"


def hold(transaction: Transaction, track: int, fragments: Sequence[Fragment]) -> None:
    """The bytes of these fragments are durable."""
    packed = transaction.execute("SELECT packed FROM track WHERE id = :track", {"track": track}).scalar_one()
    if packed is None:
        new = [one for one in fragments if transaction.execute(HOLD, {"track": track, "seq": one.seq}).rowcount == 1]
    else:
        # Found again after the recording was stored without them: they were under a gap.
        known = {one.seq: one for one in unpack(packed)}
        new = [one for one in fragments if not known[one.seq].held]
        known |= {one.seq: replace(known[one.seq], held=True) for one in new}
        transaction.execute(PACK, {"packed": pack(known.values()), "track": track})
    sql = "UPDATE track SET held = held + :count, held_bytes = held_bytes + :bytes WHERE id = :id"
    transaction.execute(sql, {"count": len(new), "bytes": sum(one.bytes for one in new), "id": track})


def list_starts(transaction: Transaction, entries: Sequence[tuple[int, int]]) -> None:
    """The ledger says that recordings began: (recording, line of the ledger)."""
    sql = "UPDATE recording SET started_entry = :entry WHERE id = :id"
    transaction.execute(sql, [{"id": recording, "entry": entry} for recording, entry in entries])


def list_stored(transaction: Transaction, recording: int, entry: int, at: int) -> None:
    """The ledger's line `entry` says that everything is here: the fragments of each track become one packed value."""
    sql = "UPDATE recording SET stored_entry = :entry, stored_at = :at WHERE id = :id"
    transaction.execute(sql, {"entry": entry, "at": at, "id": recording})
    for track in transaction.execute("SELECT id FROM track WHERE recording = :id", {"id": recording}).scalars().all():
        rows = [fragment_of(row) for row in transaction.execute(ROWS, {"track": track})]
        transaction.execute(PACK, {"packed": pack(rows), "track": track})
        transaction.execute("DELETE FROM fragment WHERE track = :track", {"track": track})


def keep_states(transaction: Transaction, states: Mapping[tuple[str, str], tuple[int, str]]) -> None:
    """What devices last said: (device, topic) → (at, JSON)."""
    sql = """INSERT INTO device_state (device, topic, at, payload) VALUES (:device, :topic, :at, :payload)
        ON CONFLICT (device, topic) DO UPDATE SET at = :at, payload = :payload"""
    rows = [{"device": d, "topic": t, "at": at, "payload": payload} for (d, t), (at, payload) in states.items()]
    if rows:
        transaction.execute(sql, rows)
