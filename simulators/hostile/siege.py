"""A deployment that runs while it is told what was never meant, and everything that must be as before afterwards.

One recorder, whose agent is a process; one device that forges, whose keys are in our hand; one that is honest; and somebody inside
the broker who may write every topic. Looks at what the recorder and the server have on their disks and say of themselves; what
follows from a message is judged in `verdicts`.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self

from provisioning import device as devices
from server.evidence.audit import audit, fast_primitives
from simulators.hostile.arena import Arena, Unit, unit
from simulators.hostile.books import server_lines
from simulators.hostile.forgery import Intruder, Key, Office, evidence_key
from simulators.hostile.puppet import Puppet

if TYPE_CHECKING:
    from pathlib import Path

RECORDER, FORGER, VICTIM = "DSJ-0000001", "DSJ-0000011", "DSJ-0000012"
LOST, ENDED = "DSJ-0000013", "DSJ-0000014"
"""A device whose certificates were taken back, and one whose journal was ended in the ledger."""

HOUR_MS = 3_600_000
ORDER = 7
"""The number of an order that the recorder has taken."""


def now_ms() -> int:
    """Of the wall clock."""
    return time.time_ns() // 1_000_000


class Siege:
    """`async with Siege(folder) as siege`, then `prepared`."""

    def __init__(self, folder: Path, seed: int = 1) -> None:
        self.folder, self.seed = folder, seed
        self.arena = Arena(folder, {RECORDER: unit(folder.parent / "clips")}, {"media": {"request_bytes": 1 << 20}})
        self.recording = ""
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Everything runs; the puppets have said nothing yet."""
        await self._stack.enter_async_context(self.arena)
        try:
            self.deployment = self.arena.deployment
            self.office = Office.of(self.deployment)
            self.strangers = self.office.strangers()
            self.intruder = Intruder(self.deployment, self.arena.broker_reload)
            self._stack.callback(self.intruder.close)
            self.forger, self.victim, self.lost, self.ended = [self._puppet(name) for name in (FORGER, VICTIM, LOST, ENDED)]
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """End everything."""
        await self._stack.aclose()

    def _puppet(self, name: str) -> Puppet:
        devices.enrol(self.deployment, name, self.folder / "puppets" / name)
        made = Puppet(self.deployment, self.folder / "puppets" / name, self.seed)
        self._stack.callback(made.close)
        return made

    async def prepared(self) -> Self:
        """Genuine first: a recording with its receipt, an order that was taken, journals of the puppets, two of which were ended."""
        one = self.recorder
        await one.ready()
        self.recording = await one.press_start()
        await one.recorded(2)
        await one.press_stop()
        self.order(ORDER)
        await self.arena.until("the order in the journal", lambda: one.lines("order"))
        await self.arena.settled()
        await self.arena.until("the lamp after the stop", lambda: one.host.signal["lamp"] == "ready")
        for puppet in (self.forger, self.victim, self.ended):
            await self.arena.until(f"{puppet.name} on the server's list", lambda puppet=puppet: self._listed(puppet))
            for _ in range(2):
                puppet.record()
                await self.sent(puppet)
        self.theirs, self.mine = self.victim.record(), self.forger.record()
        self.open = self.forger.start()
        for puppet in (self.victim, self.forger):
            await self.sent(puppet)
        assert self.deployment.revoke(LOST)
        self.arena.broker_reload()
        (await self.arena.console.post(f"/api/v1/devices/{ENDED}/revoke", json={"reason": "it was lost"})).raise_for_status()
        return self

    async def _listed(self, puppet: Puppet) -> bool:
        async with puppet.https() as https:
            answer = await https.get(f"/api/v1/journal/{puppet.name}/{puppet.n}/checkpoint")
        return bool(answer.json()["type"] == "urn:zhilu:no-checkpoint")

    async def sent(self, puppet: Puppet) -> None:
        """What a puppet has sealed is cosigned."""
        for payload in puppet.batches(puppet.cosigned()):
            puppet.publish("journal", payload)
        await self.arena.until(f"{puppet.size} lines of {puppet.name} cosigned", lambda: puppet.cosigned() >= puppet.size)

    def order(self, number: int) -> None:
        """Give the recorder a genuine order."""
        self.intruder.say(f"zhilu/{RECORDER}/command", self.office.order(self.origin, number, "locate", now_ms() + HOUR_MS))

    async def goes_on(self) -> None:
        """Recorder and server do what they are there for, whatever they were told: StoryError where they don't."""
        one = self.recorder
        await one.press_start()
        await one.recorded(2)
        await one.press_stop()
        await self.arena.settled()
        self.victim.record()
        await self.sent(self.victim)

    def flipped(self) -> bytes:
        """The forger's own recording with one bit of its first fragment another."""
        at = self.seed * 7 % self.mine.ends[1]
        return self.mine.data[:at] + bytes([self.mine.data[at] ^ 1]) + self.mine.data[at + 1 :]

    # ----------------------------------------------------------------- the recorder

    @property
    def recorder(self) -> Unit:
        """The recorder that runs."""
        return self.arena.units[RECORDER]

    @property
    def origin(self) -> str:
        """Of its journal."""
        return f"{self.deployment.domain}/{RECORDER}/1"

    @property
    def key(self) -> Key:
        """Its evidence key: whoever holds the device has it."""
        return evidence_key(self.recorder.folder, self.origin)

    def refusals(self) -> list[tuple[str, str]]:
        """(topic, reason) of everything that it has refused, by its log."""
        log = (self.recorder.folder / "agent.log").read_text("utf-8", "replace")
        said = [json.loads(line) for line in log.splitlines() if line.startswith('{"at"') and line.endswith("}")]
        return [(line["topic"], line["reason"]) for line in said if line["what"] == "refused" and "reason" in line]

    def of_recorder(self) -> dict[str, Any]:
        """Everything of it that must be as before: its lines, what is cosigned, what has a receipt, what the lamp shows."""
        one = self.recorder
        receipts = {path.name: path.read_bytes() for path in (one.folder / "receipts").glob("*")}
        return {"lines": one.lines(), "cosigned": one.progress.cosigned(), "receipts": receipts, "lamp": one.host.signal["lamp"]}

    # ----------------------------------------------------------------- the server

    async def counts(self, metric: str) -> Counter[str]:
        """A metric of the server's by its label."""
        rows = (await self.arena.console.get("/metrics")).text.splitlines()
        return Counter({row.split('"')[1]: int(row.rsplit(" ", 1)[1]) for row in rows if row.startswith(metric + "{")})

    def server_log(self) -> str:
        """What the server has said."""
        return (self.folder / "logs" / "server.log").read_text("utf-8", "replace")

    def broker_log(self) -> str:
        """What the broker has said."""
        return (self.folder / "logs" / "mosquitto.log").read_text("utf-8", "replace")

    async def of_server(self) -> dict[str, Any]:
        """Everything of it that must be as before: the puppets' journals, forks on record, and what is in its store of theirs."""
        server, held = self.deployment.server_folder, {}
        for puppet in (self.forger, self.victim, self.lost, self.ended):
            held[puppet.name] = hashlib.sha256(b"\n".join(server_lines(server, puppet.origin))).hexdigest()
        forks = (await self.arena.console.get("/api/v1/custody", params={"kind": "fork", "limit": 200})).json()["items"]
        media = {str(path.relative_to(server)): path.read_bytes() for path in sorted((server / "media").rglob("*")) if path.is_file()}
        return {"lines": held, "forks": len(forks), "media": media}

    async def recordings(self, device: str) -> list[dict[str, Any]]:
        """A device's recordings as the server's catalogue has them."""
        found = (await self.arena.console.get("/api/v1/recordings", params={"device": device, "limit": 200})).json()["items"]
        return [{name: one[name] for name in ("id", "state")} for one in found]

    def meaningless(self) -> int:
        """Lines without meaning that `zhilu audit` counts in the server's store."""
        report = audit(str(self.deployment.server_folder), [str(self.deployment.keys_file)], primitives=fast_primitives()).as_json()
        return next(int(one["figures"]["without_meaning"]) for one in report["checks"] if "without_meaning" in one["figures"])
