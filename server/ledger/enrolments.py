"""Which journals the ledger lists: admitted by an `enrol` line, ended by a `revoke` line (docs/evidence-format.md, section 7).

The table follows from the ledger's lines and is changed in their transaction; a copy in memory answers ingest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Engine

from agent.core import note
from server.database import Transaction, sql
from server.errors import EnrolmentRefused, Unknown
from server.ledger import keys, logs


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A journal that the ledger lists. `enrolled` and `revoked` are indices of ledger lines."""

    origin: str
    device: str
    vkey: str
    certificate: str
    enrolled: int
    revoked: int | None
    verifier: note.Verifier


class Enrolments:
    """All of them, by origin. `stage` is the ledger's: (transaction, kind, members) → index of the line."""

    def __init__(self, engine: Engine, stage: Callable[[Transaction, str, dict[str, Any]], int]) -> None:
        self._stage = stage
        self._lock = threading.Lock()
        with engine.connect() as connection:
            rows = list(connection.execute(sql("SELECT * FROM enrolment")))
        self._held = {
            row.origin: Enrolment(row.origin, row.device, row.vkey, row.certificate, row.enrolled, row.revoked, keys.verifier(row.vkey))
            for row in rows
        }

    def get(self, origin: str) -> Enrolment | None:
        """The journal's enrolment, revoked or not."""
        return self._held.get(origin)

    def of_device(self, device: str) -> list[Enrolment]:
        """The device's journals, oldest first."""
        with self._lock:
            return sorted((one for one in self._held.values() if one.device == device), key=lambda one: one.enrolled)

    def all(self) -> list[Enrolment]:
        """Every journal, in the order of the ledger."""
        with self._lock:
            return sorted(self._held.values(), key=lambda one: one.enrolled)

    def stage_enrol(self, transaction: Transaction, device: str, members: dict[str, str]) -> bool:
        """List a journal (origin, vkey, certificate) once; whether it is new. EnrolmentRefused when it is listed otherwise."""
        origin, vkey, certificate = members["origin"], members["vkey"], members["certificate"]
        verifier = keys.verifier(vkey)
        held = self._held.get(origin)
        if held is not None:
            if (held.vkey, held.certificate) != (vkey, certificate):
                raise EnrolmentRefused(f"{origin} is enrolled with another key or certificate; a new key needs the next journal")
            return False
        line = self._stage(transaction, "enrol", {"device": device, **members})
        transaction.execute(
            "INSERT INTO enrolment (origin, device, vkey, certificate, enrolled) VALUES (:origin, :device, :vkey, :certificate, :line)",
            {"origin": origin, "device": device, "vkey": vkey, "certificate": certificate, "line": line},
        )
        logs.open_log(transaction, origin)
        self._remember(transaction, Enrolment(origin, device, vkey, certificate, line, None, verifier))
        return True

    def stage_revoke(self, transaction: Transaction, origin: str, reason: str) -> bool:
        """End a journal: it is never cosigned again; whether it was not ended before."""
        held = self._held.get(origin)
        if held is None:
            raise Unknown(f"{origin} is not enrolled here")
        if held.revoked is not None:
            return False
        line = self._stage(transaction, "revoke", {"device": held.device, "origin": origin, "reason": reason})
        transaction.execute("UPDATE enrolment SET revoked = :line WHERE origin = :origin", {"line": line, "origin": origin})
        self._remember(transaction, replace(held, revoked=line))
        return True

    def _remember(self, transaction: Transaction, one: Enrolment) -> None:
        def act() -> None:
            with self._lock:
                self._held = {**self._held, one.origin: one}

        transaction.after_commit(act)
