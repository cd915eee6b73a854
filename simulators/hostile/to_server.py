"""The table of messages to a server that runs: what is said by which way, and what it must be answered, counted and called.

Batches and states by the broker are counted in `zhilu_refused_total` and named in the server's log; requests over HTTPS are answered
with a problem and counted in `zhilu_problems_total`; a certificate that opens no door stands in the broker's log; a line without
meaning is kept, and `zhilu audit` counts it.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from agent.core import merkle, note, wire
from provisioning.authority import Authority
from simulators.hostile import verdicts
from simulators.hostile.siege import ENDED, FORGER, LOST, VICTIM, Siege

Judge = Callable[[Siege], Awaitable[verdicts.Verdict]]


@dataclass(frozen=True, slots=True)
class ToServer:
    """A row; `answer` is the reason, problem or word by which it is counted and said."""

    phrase: str
    what: str
    answer: str
    judge: Judge


def _batch(phrase: str, what: str, reason: str, forge: Callable[[Siege], bytes], device: str = FORGER) -> ToServer:
    return ToServer(phrase, what, reason, lambda s: verdicts.told_server(s, "journal", forge(s), reason, device))


def _state(phrase: str, what: str, payload: bytes) -> ToServer:
    return ToServer(phrase, what, "bad-state", lambda s: verdicts.told_server(s, "status", payload, "bad-state"))


def _line(phrase: str, what: str, text: str) -> ToServer:
    """A line of the recording that is open, in the writer's own shape but for one thing."""

    def forge(siege: Siege) -> bytes:
        return text.replace("RECORDING", siege.open.name).replace("SALT", "A" * 22).encode()

    return ToServer(phrase, what, "without meaning", lambda s: verdicts.without_meaning(s, forge(s)))


def _request(
    phrase: str, what: str, status: int, problem: str, ask: Callable[[Siege], tuple[str, bytes]], device: str = FORGER
) -> ToServer:
    async def judge(siege: Siege) -> verdicts.Verdict:
        path, body = ask(siege)
        return await verdicts.requested(siege, f"/api/v1/media/{path}", body, status, problem, device)

    return ToServer(phrase, what, problem, judge)


def _certificate(phrase: str, what: str, show: Callable[[Siege], tuple[Path, Path]], *, broker_only: bool = False) -> ToServer:
    async def judge(siege: Siege) -> verdicts.Verdict:
        ports = siege.deployment.ports
        doors = {"broker": ports.broker} if broker_only else {"broker": ports.broker, "server": ports.devices}
        return await verdicts.shown(siege, show(siege), doors)

    return ToServer(phrase, what, "no way in", judge)


# --------------------------------------------------------------------------- batches


def _replayed(siege: Siege) -> bytes:
    return siege.forger.batches()[siege.seed % 3]


def _of_victim(siege: Siege) -> bytes:
    """Genuine lines that their own device has not sent yet."""
    siege.victim.line("fix", lat=0, lon=0)
    siege.victim.seal()
    return siege.victim.batch(siege.victim.cosigned())


def _by_stranger(siege: Siege) -> bytes:
    """The right lines under the right checkpoint, signed by somebody else."""
    one = siege.forger
    body, _ = note.split(one.notes[one.size])
    return wire.encode_batch(0, one.lines, one.key.stranger().note(body))


def _signed(siege: Siege, origin: str, size: int, root: bytes = b"") -> str:
    return siege.forger.key.note(note.checkpoint(origin, size, root or merkle.leaf_hash(b"x")))


def _unlisted(siege: Siege) -> bytes:
    """A journal that nobody enrolled, signed by the key of one that somebody did and named like one of its device."""
    origin = f"{siege.forger.origin[:-1]}7"
    key = type(siege.forger.key)(origin, note.ED25519, siege.forger.key.private)
    return wire.encode_batch(0, [b"x"], key.note(note.checkpoint(origin, 1, merkle.leaf_hash(b"x"))))


def _ahead(siege: Siege) -> bytes:
    size = siege.forger.size + 50
    return wire.encode_batch(size, [b"x"], _signed(siege, siege.forger.origin, size + 1))


def _fewer(siege: Siege) -> bytes:
    """A genuine checkpoint under fewer lines than it is of."""
    batch = wire.decode_batch(siege.forger.batch(0))
    return wire.encode_batch(0, batch.lines[:-1], batch.note)


def _many(siege: Siege) -> bytes:
    return b"0\n" + b"x\n" * 300 + b"\n" + _signed(siege, siege.forger.origin, 300).encode()


def _nowhere(siege: Siege) -> bytes:
    return b"0\nx\n\n" + _signed(siege, "nowhere", 1).encode()


def _after_its_end(siege: Siege) -> bytes:
    """The next lines of a journal that was ended, by its genuine key."""
    siege.ended.line("fix", lat=0, lon=0)
    siege.ended.seal()
    return siege.ended.batch(siege.ended.cosigned())


# --------------------------------------------------------------------------- certificates


def _files(siege: Siege, certificate: bytes, key: bytes) -> tuple[Path, Path]:
    folder = siege.folder / "shown" / secrets.token_hex(8)
    folder.mkdir(parents=True)
    (folder / "tls.crt").write_bytes(certificate)
    (folder / "tls.key").write_bytes(key)
    return folder / "tls.crt", folder / "tls.key"


def _of_time(begins: timedelta, siege: Siege) -> tuple[Path, Path]:
    """The forger's own name by our own authority, valid from so much from now on."""
    issued = Authority.open(siege.deployment.folder / "ca", lambda: datetime.now(UTC) + begins).client(FORGER)
    return _files(siege, issued.certificate, issued.key)


def _other_authority(siege: Siege) -> tuple[Path, Path]:
    issued = Authority.create(siege.folder / "shown" / secrets.token_hex(8), "Somebody").client(FORGER)
    return _files(siege, issued.certificate, issued.key)


def _taken_back(siege: Siege) -> tuple[Path, Path]:
    tls = siege.folder / "puppets" / LOST / "tls"
    return tls / "device.crt", tls / "device.key"


# --------------------------------------------------------------------------- media


def _theirs(siege: Siege, device: str) -> tuple[str, bytes]:
    return f"{device}/{siege.theirs.name}/front/0", siege.theirs.data


# --------------------------------------------------------------------------- the table

B, C, Q = _batch, _certificate, _request
FIX = '{"at":1,"up":1,"kind":"mark","recording":"RECORDING","n":2,"label":%s,"salt":"SALT"}'
AT = '{"at":%s,"up":1,"kind":"mark","recording":"RECORDING","n":2,"label":"a","salt":"SALT"}'

TO_SERVER: tuple[ToServer, ...] = (
    ToServer("a replayed old batch", "genuine", "doubled", lambda s: verdicts.replayed(s, _replayed(s))),
    B("a batch of another device on this topic", "genuine, not yet sent", "wrong-topic", _of_victim),
    ToServer(
        "a batch of another device on this topic",
        "on that device's own topic",
        "Not authorized",
        lambda s: verdicts.not_its_topic(s, "journal", _of_victim(s), VICTIM),
    ),
    B("cosignature from a stranger", "a checkpoint signed by one", "foreign-signature", _by_stranger),
    B("checkpoint of another size", "genuine, over fewer lines", "bad-size", _fewer),
    B("checkpoint of another size", "beyond what is held", "ahead", _ahead),
    B("a journal that nobody enrolled", "signed by one of its device", "unknown-origin", _unlisted),
    B("a journal that was ended", "its next lines", "revoked", _after_its_end, ENDED),
    B("garbage", "too many lines", "too-many-lines", _many),
    B("garbage", "too large", "too-large", lambda _: b"0\n" + b"x" * 70_000),
    B("garbage", "no note", "bad-note", lambda _: b"0\nline\n\nno note"),
    B("garbage", "an origin that is none", "bad-origin", _nowhere),
    B("garbage", "a line too long", "torn", lambda s: b"0\n" + b"x" * 5_000 + b"\n\n" + _signed(s, s.forger.origin, 1).encode()),
    *(
        B("garbage", f"noise {noise[:6]!r}", "torn", lambda _, noise=noise: noise)  # type: ignore[misc]
        for noise in (b"x", b"\0" * 2_000, b"-1\nx\n\n", b"9" * 40 + b"\nx\n\n")
    ),
    _line("duplicate JSON names", "in a line", FIX % '"a","label":"b"'),
    _line("floats", "in a line", AT % "1.5"),
    _line("floats", "an exponent in a line", AT % "1e3"),
    _line("numbers beyond 2**53", "in a line", AT % "9007199254740993"),
    _line("no number of JSON's", "minus zero in a line", AT % "-0"),
    _line("no text", "half a surrogate pair in a line", FIX % '"\\ud800"'),
    _line("too deep", "nine arrays in a line", FIX % "[[[[[[[[[1]]]]]]]]]"),
    _line("no JSON", "in a line", "no JSON at all"),
    _line("a line of no recording", "a mark without one", '{"kind":"mark"}'),
    _state("numbers beyond 2**53", "in a state", b'{"online":true,"at":9007199254740993}'),
    _state("floats", "infinity in a state", b'{"online":true,"at":Infinity}'),
    _state("no text", "half a surrogate pair in a state", b'{"online":true,"at":"\\ud800"}'),
    C("certificate expired", "long ago", partial(_of_time, timedelta(days=-3_660))),
    C("certificate expired", "not valid yet", partial(_of_time, timedelta(days=30))),
    C("certificate of another authority", "of the same name", _other_authority),
    C("certificate revoked", "at the broker", _taken_back, broker_only=True),
    Q("certificate revoked", "at the server", 403, "no-certificate", lambda s: (f"{LOST}/{s.theirs.name}/front/0", b"x"), LOST),
    Q("certificate for another device", "media of that device", 403, "not-yours", lambda s: _theirs(s, VICTIM)),
    Q("certificate for another device", "its recording as ours", 409, "not-named", lambda s: _theirs(s, FORGER)),
    Q("media that no line names", "a fragment beyond", 409, "not-named", lambda s: (f"{FORGER}/{s.open.name}/front/0", b"x" * 99)),
    Q("media that are not what the line says", "torn", 422, "mismatch", lambda s: (f"{FORGER}/{s.mine.name}/front/0", s.mine.data[:99])),
    Q("media that are not what the line says", "flipped", 422, "mismatch", lambda s: (f"{FORGER}/{s.mine.name}/front/0", s.flipped())),
)
