"""What came of one message that was never meant: what it changed, and whether it was refused, counted and said as it must be.

A judge for each way in. Every judge looks at everything before, says the message, waits for the refusal where one must come, and
looks again. Nothing is told from the message itself: only from disks, counts, logs and answers.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.core import note, wire
from simulators.hostile.siege import FORGER, LOST, RECORDER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from simulators.hostile.siege import Siege

REFUSED, PROBLEMS, BATCHES = "zhilu_refused_total", "zhilu_problems_total", "zhilu_batches_total"
WITHIN_S, LOOK_S = 60.0, 0.02
MARK = b"the mark that all before it was read"
CONNECT = bytes([0x10, 13, 0, 4, *b"MQTT", 5, 2, 0, 60, 0, 0, 0])


@dataclass(slots=True)
class Verdict:
    """Empty lists: refused as it must be, and nothing has changed."""

    changed: list[str] = field(default_factory=list)
    unsaid: list[str] = field(default_factory=list)

    def same(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        """Note what is not as it was."""
        self.changed += [f"{name}: {_short(before[name])}, then {_short(after[name])}" for name in before if before[name] != after[name]]

    def expect(self, what: str, wanted: object, got: object) -> None:
        """Note what was not said as it should be."""
        if wanted != got:
            self.unsaid.append(f"{what}: expected {_short(wanted)}, got {_short(got)}")

    @property
    def well(self) -> bool:
        """Whether all is as it must be."""
        return not self.changed and not self.unsaid


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:90]} … {text[-90:]}"


async def within(look: Callable[[], Awaitable[object]]) -> bool:
    """Whether it becomes so in good time, and a busy machine's good time is long."""
    end = time.monotonic() + WITHIN_S
    while not await look():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(LOOK_S)
    return True


# --------------------------------------------------------------------------- to the recorder


async def told_recorder(siege: Siege, leaf: str, payload: bytes, reason: str) -> Verdict:
    """Refused for that reason and no other, said in its log; without a reason it is no news: nothing is refused, nothing changes."""
    topic = wire.LEDGER_TOPIC if leaf == "ledger" else wire.topic(RECORDER, leaf)
    mark = (wire.topic(RECORDER, "receipt"), "malformed")
    before, known, verdict = siege.of_recorder(), len(siege.refusals()), Verdict()
    siege.intruder.say(topic, payload)
    siege.intruder.say(mark[0], MARK)
    wanted = [(topic, reason), mark] if reason else [mark]

    async def heard() -> bool:
        return siege.refusals()[known:].count(mark) >= wanted.count(mark)

    await within(heard)
    verdict.expect("refusals in its log", wanted, siege.refusals()[known:])
    verdict.same(before, siege.of_recorder())
    return verdict


async def counted_by_recorder(siege: Siege) -> Verdict:
    """All of it is counted where an administrator looks: in `health`, by reason."""
    wanted, verdict = {f"refused.{reason}": count for reason, count in Counter(reason for _, reason in siege.refusals()).items()}, Verdict()

    async def got() -> dict[str, Any]:
        counts = (await siege.arena.said(siege.recorder))["counts"]
        return {name: counts.get(name) for name in wanted}

    async def told() -> bool:
        return await got() == wanted

    await within(told)
    verdict.expect("refusals in its health", wanted, await got())
    return verdict


# --------------------------------------------------------------------------- to the server, by the broker


async def told_server(siege: Siege, leaf: str, payload: bytes, reason: str, name: str = FORGER) -> Verdict:
    """Refused for that reason and no other, counted and in its log."""
    puppet = siege.ended if name == siege.ended.name else siege.forger
    before, counted, log = await siege.of_server(), await siege.counts(REFUSED), len(siege.server_log())
    puppet.publish(leaf, payload)
    return await _refused(siege, before, counted, reason, f"{puppet.name}: refused as {reason}: ", log)


async def _refused(siege: Siege, before: dict[str, Any], counted: Counter[str], reason: str, words: str, log: int) -> Verdict:
    verdict = Verdict()

    async def refused() -> bool:
        return await siege.counts(REFUSED) != counted

    await within(refused)
    verdict.expect(REFUSED, {reason: 1}, dict(await siege.counts(REFUSED) - counted))
    verdict.expect("its log", True, words in siege.server_log()[log:])
    verdict.same(before, await siege.of_server())
    return verdict


async def replayed(siege: Siege, payload: bytes) -> Verdict:
    """An old batch is no news: counted as doubled, answered with the newest, refused by nobody."""
    one, verdict = siege.forger, Verdict()
    before, counted, doubled = await siege.of_server(), await siege.counts(REFUSED), (await siege.counts(BATCHES))["doubled"]
    heard = len(one.heard)
    one.publish("journal", payload)

    async def answered() -> bool:
        return (await siege.counts(BATCHES))["doubled"] > doubled and len(one.heard) > heard

    await within(answered)
    verdict.expect(f"{BATCHES}, doubled", doubled + 1, (await siege.counts(BATCHES))["doubled"])
    answers = [note.parse_checkpoint(note.split(payload.decode())[0]).size for _, payload in one.heard[heard:]]
    verdict.expect("the answer", [one.size], answers)
    verdict.expect(REFUSED, counted, await siege.counts(REFUSED))
    verdict.same(before, await siege.of_server())
    return verdict


async def not_its_topic(siege: Siege, leaf: str, payload: bytes, device: str) -> Verdict:
    """The broker itself refuses what a device says on another's topic; the server hears nothing."""
    one, verdict = siege.forger, Verdict()
    before, counted = await siege.of_server(), await siege.counts(REFUSED)
    mid = one.publish(leaf, payload, device)

    async def answered() -> bool:
        return mid in one.answers

    await within(answered)
    verdict.expect("the broker's answer", "Not authorized", one.answers.get(mid, "none"))
    verdict.expect(REFUSED, counted, await siege.counts(REFUSED))
    verdict.same(before, await siege.of_server())
    return verdict


async def without_meaning(siege: Siege, line: bytes) -> Verdict:
    """A line that the device's own key signed is kept and cosigned like any other, touches no recording, and an audit counts it."""
    one, verdict = siege.forger, Verdict()
    before, recordings = siege.meaningless(), await siege.recordings(one.name)
    media = (await siege.of_server())["media"]
    one.raw(line)
    one.seal()
    await siege.sent(one)
    verdict.expect("lines without meaning by an audit", before + 1, siege.meaningless())
    verdict.same({"recordings": recordings}, {"recordings": await siege.recordings(one.name)})
    verdict.same({"media": media}, {"media": (await siege.of_server())["media"]})
    return verdict


# --------------------------------------------------------------------------- to the server, over HTTPS


async def requested(siege: Siege, path: str, body: bytes, status: int, problem: str, name: str = FORGER) -> Verdict:
    """Answered with that problem, which is counted, and no byte of it is kept."""
    puppet, verdict = siege.lost if name == LOST else siege.forger, Verdict()
    before, counted = await siege.of_server(), await siege.counts(PROBLEMS)
    async with puppet.https() as https:
        answer = await https.put(path, content=body)
    verdict.expect("the answer", (status, f"urn:zhilu:{problem}"), (answer.status_code, answer.json().get("type")))
    verdict.expect(PROBLEMS, {problem: 1}, dict(await siege.counts(PROBLEMS) - counted))
    verdict.same(before, await siege.of_server())
    return verdict


# --------------------------------------------------------------------------- at both doors


async def shown(siege: Siege, certificate: tuple[Path, Path], doors: dict[str, int]) -> Verdict:
    """A certificate that opens none of these doors: the connection ends before a word, and the broker's log has a line of it."""
    before, log, verdict = await siege.of_server(), len(siege.broker_log()), Verdict()
    for door, port in doors.items():
        refused = await asyncio.to_thread(_refused_at, siege, certificate, port)
        verdict.expect(f"at the {door}'s door", "", refused)

    async def said() -> bool:
        return "error" in siege.broker_log()[log:].lower()

    if "broker" in doors:
        verdict.expect("a line in the broker's log", True, await within(said))
    verdict.same(before, await siege.of_server())
    return verdict


def _refused_at(siege: Siege, certificate: tuple[Path, Path], port: int) -> str:
    """What was answered; with TLS 1.3 a client learns of its refusal at the first byte that it reads."""
    context = ssl.create_default_context(cafile=siege.deployment.folder / "ca" / "ca.crt")
    context.load_cert_chain(*certificate)
    try:
        with (
            socket.create_connection(("127.0.0.1", port), WITHIN_S) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as tls,
        ):
            tls.sendall(CONNECT)
            return tls.recv(4).decode("latin-1")
    except (ssl.SSLError, ConnectionError):
        return ""
