"""`zhilu audit` over a server's data folder: what somebody does to it is named; an honest one is intact."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from agent.core import merkle, note
from server.evidence import audit as command
from server.evidence.audit import audit, fast_primitives
from server.evidence.errors import AuditError
from server.evidence.text import MEANS_OF_AUDIT, as_text
from server.evidence.verdict import Report
from server.ledger.keys import Key, load
from server.services import World, open_services
from tests.server.conftest import Clock, line_up, make_data_folder
from tests.server.evidence.store import keys_of, send, stored
from tests.server.virtual import DOMAIN, Device


class Store:
    """A data folder, and what stands in it."""

    def __init__(self, folder: Path, keys: list[str], recordings: list[str], devices: list[Device]):
        self.folder, self.keys, self.recordings, self.devices = folder, keys, recordings, devices

    def audit(self, *, media: bool = True) -> Report:
        return audit(str(self.folder), self.keys, media=media, primitives=fast_primitives())

    def judge(self, verdict: str, place: str) -> Report:
        report = self.audit()
        assert report.verdict == verdict, as_text(report, MEANS_OF_AUDIT)
        findings = [f"{f.place}: {f.message}" for c in report.checks for f in c.findings if f.verdict == verdict]
        assert place in findings[0], as_text(report, MEANS_OF_AUDIT)
        return report

    def sql(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.folder / "logs.sqlite")) as db:
            assert db.execute(statement, values).rowcount != 0, statement
            db.commit()

    def log(self, origin: str) -> int:
        with closing(sqlite3.connect(self.folder / "logs.sqlite")) as db:
            return int(db.execute("SELECT id FROM log WHERE origin = ?", (origin,)).fetchone()[0])

    def rewrite(self, origin: str, old: bytes, new: bytes) -> None:
        """Change bytes in a log's lines."""
        with closing(sqlite3.connect(self.folder / "logs.sqlite")) as db:
            rows = db.execute("SELECT rowid, lines FROM batch WHERE log = ?", (self.log(origin),)).fetchall()
            ident, data = next((i, data) for i, data in rows if old in data)
            db.execute("UPDATE batch SET lines = ? WHERE rowid = ?", (data.replace(old, new, 1), ident))
            db.commit()

    def key(self, name: str) -> Key:
        algorithm = note.COSIGNATURE if name == "witness" else note.ED25519
        return load(self.folder / "keys" / f"{name}.key", f"{DOMAIN}/{name}", algorithm)

    def media(self, n: int = 0) -> Path:
        return self.folder / "media" / self.devices[n].device / self.recordings[n] / "front.mp4"


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Store:
    folder = tmp_path_factory.mktemp("store") / "server"
    clock = Clock()
    with open_services(make_data_folder(folder), World(clock)) as services:
        ingest = line_up(services)
        devices = [Device(), Device("DSJ-0000002", seed=2)]
        recordings = [stored(ingest, one).recording for one in devices]
        clock.ms += 60_000
        purger = devices[1]
        with closing(sqlite3.connect(folder / "logs.sqlite")) as db:
            (line,) = db.execute("SELECT line FROM entry WHERE kind = 'stored' AND recording = ?", (recordings[1],)).fetchone()
        receipt = merkle.leaf_hash(services.ledger.entry(line).line).hex()
        purger.line("purge", recording=recordings[1], tracks=[], bytes=1, reason="space", receipt=receipt)
        purger.line("beacon", checkpoint=note.split(services.ledger.checkpoint())[0])
        purger.commit()
        send(ingest, purger)
        services.ledger.anchor()
        keys = keys_of(services)
    return Store(folder, keys, recordings, devices)


@pytest.fixture
def store(original, tmp_path) -> Store:
    shutil.copytree(original.folder, tmp_path / "server")
    return Store(tmp_path / "server", list(original.keys), original.recordings, original.devices)


def test_a_store_that_is_whole(original):
    report = original.audit()
    assert report.verdict == "intact", as_text(report, MEANS_OF_AUDIT)
    assert report.unmade == []
    assert [r["state"] for r in report.facts["recordings"]] == ["there", "there"]
    assert report.facts["bytes"] > 0
    figures = {c.name: c.figures for c in report.checks}
    assert figures["beacons"]["beacons"] == 3
    assert figures["receipts"]["purged"] == 1
    assert figures["anchors"]["checked"] == figures["anchors"]["anchors"] >= 3


def test_it_is_only_read(original):
    before = {p: p.stat().st_mtime_ns for p in original.folder.rglob("*.sqlite")}
    original.audit()
    assert {p: p.stat().st_mtime_ns for p in original.folder.rglob("*.sqlite")} == before


def test_a_store_that_is_in_use(settings):
    with open_services(settings) as services:
        ingest = line_up(services)
        stored(ingest, Device())
        done = threading.Event()

        def write() -> None:
            while not done.is_set():
                services.ledger.anchor()

        writer = threading.Thread(target=write)
        writer.start()
        try:
            report = audit(str(settings.folder), keys_of(services), primitives=fast_primitives())
        finally:
            done.set()
            writer.join()
        assert report.verdict == "intact", as_text(report, MEANS_OF_AUDIT)


def test_without_keys_nothing_is_trusted(original):
    assert audit(str(original.folder), []).verdict == "untrusted"
    assert audit(str(original.folder), original.keys[1:]).verdict == "untrusted"


# --------------------------------------------------------------------------- media


def test_media_altered(store):
    data = bytearray(store.media().read_bytes())
    data[3000] ^= 1
    store.media().write_bytes(data)
    store.judge("tampered", f"recording {store.recordings[0]}")


def test_media_deleted(store):
    store.media().unlink()
    report = store.judge("incomplete", store.recordings[0])
    assert "stored, and it is not here any more" in as_text(report, MEANS_OF_AUDIT)
    assert [r["state"] for r in report.facts["recordings"]] == ["missing", "there"]


def test_a_hole_in_the_media_is_missing_not_wrong(store):
    data = store.media().read_bytes()
    store.media().write_bytes(data[:1243] + bytes(len(data) - 1243))
    report = store.judge("incomplete", store.recordings[0])
    assert "4 of 5 fragments are missing" in as_text(report, MEANS_OF_AUDIT)


def test_disposed_of_by_a_ledger_line(store):
    from server import config

    with open_services(config.load(store.folder / "settings.toml")) as services:
        services.ledger.append("dispose", {"device": store.devices[0].device, "recording": store.recordings[0], "by": "archivist"})
    store.media().unlink()
    report = store.audit()
    assert report.verdict == "intact", as_text(report, MEANS_OF_AUDIT)
    assert [r["state"] for r in report.facts["recordings"]] == ["disposed of", "there"]


def test_media_not_here_yet(settings):
    from tests.server.evidence.store import record, switch_on

    with open_services(settings) as services:
        ingest, device = line_up(services), Device()
        name = record(device, switch_on(ingest, device)).recording
        send(ingest, device)
        keys = keys_of(services)
    report = audit(str(settings.folder), keys)
    assert report.verdict == "incomplete"
    assert report.first is not None
    assert name in report.first.place


# --------------------------------------------------------------------------- journals


def test_a_line_of_a_journal_rewritten(store):
    store.rewrite(store.devices[0].origin, b'"officer":"012345"', b'"officer":"999999"')
    store.judge("tampered", "the lines do not lead to the checkpoint that is kept with them")


def test_a_batch_removed(store):
    ident = store.log(store.devices[0].origin)
    store.sql("DELETE FROM batch WHERE log = ? AND first = 0", ident)
    store.judge("tampered", f"{store.devices[0].origin} line 0")


def test_the_newest_batches_removed_and_the_size_adjusted(store):
    ident = store.log(store.devices[0].origin)
    store.sql("DELETE FROM batch WHERE log = ? AND first > 0", ident)
    store.sql("UPDATE log SET size = 4 WHERE id = ?", ident)
    report = store.judge("incomplete", "anchors it, and these lines are not here")
    assert f"recording {store.recordings[0]} of DSJ-0000001" in as_text(report, MEANS_OF_AUDIT)
    assert "no journal here has its start" in as_text(report, MEANS_OF_AUDIT)


def test_a_whole_journal_removed(store):
    ident = store.log(store.devices[0].origin)
    store.sql("DELETE FROM batch WHERE log = ?", ident)
    store.sql("DELETE FROM log WHERE id = ?", ident)
    report = store.judge("incomplete", "the journal is not here")
    assert store.recordings[0] in as_text(report, MEANS_OF_AUDIT)


def test_a_journal_that_was_never_enrolled(store):
    stranger = Device("DSJ-0000009", seed=9).grow(3)
    store.sql("INSERT INTO log (origin, size) VALUES (?, 3)", stranger.origin)
    signed = store.key("witness")
    cosigned = note.cosign(stranger.notes[3], signed.name, signed.public, signed.sign, 1_700_000_100)
    values = (store.log(stranger.origin), 0, 3, b"\n".join(stranger.lines), note.add(stranger.notes[3], cosigned))
    store.sql("INSERT INTO batch (log, first, count, lines, note) VALUES (?, ?, ?, ?, ?)", *values)
    store.judge("tampered", "the ledger never enrolled this journal")


def test_a_history_written_anew_with_the_devices_and_the_witness_keys(store):
    """Whoever holds both keys can write another history; the ledger's anchors remember the first."""
    device, witness = store.devices[0], store.key("witness")
    kept = [line.replace(b'"officer":"012345"', b'"officer":"999999"') for line in device.lines]
    body = note.checkpoint(device.origin, len(kept), merkle.root_of([merkle.leaf_hash(line) for line in kept]))
    signed = device.signed(body)
    signed = note.add(signed, note.cosign(signed, witness.name, witness.public, witness.sign, 1_700_000_000))
    ident = store.log(device.origin)
    store.sql("DELETE FROM batch WHERE log = ?", ident)
    store.sql("INSERT INTO batch (log, first, count, lines, note) VALUES (?, 0, ?, ?, ?)", ident, len(kept), b"\n".join(kept), signed)
    store.judge("tampered", "checkpoints were anchored; what is here gives another root")


@pytest.mark.parametrize("seconds", [1, 1_900_000_000])
def test_times_that_go_back(store, seconds):
    device, witness = store.devices[0], store.key("witness")
    ident = store.log(device.origin)
    size = min(device.notes)
    cosigned = note.cosign(device.notes[size], witness.name, witness.public, witness.sign, seconds)
    store.sql("UPDATE batch SET note = ? WHERE log = ? AND first = 0", note.add(device.notes[size], cosigned), ident)
    if seconds == 1:
        assert store.audit().verdict == "intact"
    else:
        store.judge("tampered", "before the checkpoint before it")


def test_not_cosigned(store):
    device = store.devices[0]
    store.sql("UPDATE batch SET note = ? WHERE log = ? AND first = 0", device.notes[min(device.notes)], store.log(device.origin))
    store.judge("incomplete", "no given witness key cosigned it")


def test_cosigned_after_it_was_revoked(store):
    from server import config

    with open_services(config.load(store.folder / "settings.toml"), World(Clock(1_700_000_001_000))) as services:
        services.logs_writer.call(lambda t: services.enrolments.stage_revoke(t, store.devices[1].origin, "lost"))
    device, witness = store.devices[1], store.key("witness")
    cosigned = note.cosign(device.notes[device.size], witness.name, witness.public, witness.sign, 1_700_009_999)
    newest = note.add(device.notes[device.size], cosigned)
    ident = store.log(device.origin)
    store.sql("UPDATE batch SET note = ? WHERE log = ? AND first = (SELECT max(first) FROM batch WHERE log = ?)", newest, ident, ident)
    store.judge("tampered", "cosigned after the journal was revoked")


# --------------------------------------------------------------------------- ledger


def test_a_ledger_line_rewritten(store):
    store.rewrite(f"{DOMAIN}/ledger", b'"fragments":5', b'"fragments":6')
    store.judge("tampered", f"{DOMAIN}/ledger size")


def rebuild_ledger(store: Store, change) -> None:
    """Another ledger, signed with its real key: who holds it can do that, and then the beacons say otherwise."""
    origin, key = f"{DOMAIN}/ledger", store.key("ledger")
    ident = store.log(origin)
    with closing(sqlite3.connect(store.folder / "logs.sqlite")) as db:
        rows = [row[0].split(b"\n") for row in db.execute("SELECT lines FROM batch WHERE log = ? ORDER BY first", (ident,))]
        db.execute("DELETE FROM batch WHERE log = ?", (ident,))
        tree = merkle.Range()
        for batch in [[change(line) for line in batch] for batch in rows]:
            kept = [line for line in batch if line]
            if not kept:
                continue
            first = tree.size
            for line in kept:
                tree.append(merkle.leaf_hash(line))
            signed = key.signed(note.checkpoint(origin, tree.size, tree.root()))
            values = (ident, first, len(kept), b"\n".join(kept), signed)
            db.execute("INSERT INTO batch (log, first, count, lines, note) VALUES (?, ?, ?, ?, ?)", values)
        db.execute("UPDATE log SET size = ? WHERE id = ?", (tree.size, ident))
        db.commit()


def test_a_ledger_line_removed_and_the_ledger_signed_again(store):
    rebuild_ledger(store, lambda line: b"" if b'"kind":"stored"' in line and store.recordings[0].encode() in line else line)
    report = store.audit()
    assert report.verdict == "tampered"
    text = as_text(report, MEANS_OF_AUDIT)
    assert "its beacon of size" in text
    assert "previous: not a checkpoint of this ledger" in text


def test_a_custody_line_removed(store):
    rebuild_ledger(store, lambda line: b"" if b'"kind":"start"' in line and store.recordings[1].encode() in line else line)
    assert "c is 1, expected 0: a custody line is gone" in as_text(store.judge("tampered", ""), MEANS_OF_AUDIT)


def test_times_in_the_ledger_that_go_back(store):
    def change(line: bytes) -> bytes:
        return line.replace(b'"at":17000', b'"at":16000', 1) if b'"kind":"stored"' in line else line

    rebuild_ledger(store, change)
    store.judge("tampered", "lies before the line before it")


def test_a_ledger_of_somebody_else(store):
    store.keys[0] = note.vkey(f"{DOMAIN}/ledger", note.ED25519, store.key("orders").public)
    store.judge("untrusted", "none of the given keys")


def test_purged_without_the_ledgers_receipt(settings):
    with open_services(settings) as services:
        ingest, device = line_up(services), Device()
        made = stored(ingest, device)
        device.line("purge", recording=made.recording, tracks=[], bytes=1, reason="space", receipt="00" * 32)
        device.commit()
        send(ingest, device)
        keys = keys_of(services)
    report = audit(str(settings.folder), keys)
    assert report.verdict == "tampered"
    assert "on a receipt that the ledger never gave" in as_text(report, MEANS_OF_AUDIT)


def test_a_fork_that_was_kept(settings):
    with open_services(settings) as services:
        ingest, device = line_up(services), Device()
        stored(ingest, device)
        twin = Device(key=device.key)
        twin.lines, twin.range = device.lines[:-1], merkle.Range()
        for line in twin.lines:
            twin.range.append(merkle.leaf_hash(line))
        twin.line("power", event="other")
        twin.commit()
        ingest.offer(device, twin.batch(device.size - 1))
        assert services.logs.forks()
        keys = keys_of(services)
    report = audit(str(settings.folder), keys)
    assert report.verdict == "tampered"
    assert "has signed two histories" in as_text(report, MEANS_OF_AUDIT)
    with closing(sqlite3.connect(settings.folder / "logs.sqlite")) as db:
        db.execute("DELETE FROM fork")
        db.commit()
    report = audit(str(settings.folder), keys)
    assert report.verdict == "incomplete"
    assert "the ledger tells of 1 forks, 0 are kept" in as_text(report, MEANS_OF_AUDIT)


def test_a_line_without_meaning_is_reported(settings):
    with open_services(settings) as services:
        ingest, device = line_up(services), Device()
        stored(ingest, device)
        device.raw(b'{"at":1,"at":2}')
        device.commit()
        send(ingest, device)
        keys = keys_of(services)
    report = audit(str(settings.folder), keys)
    assert report.verdict == "intact", as_text(report, MEANS_OF_AUDIT)
    assert report.checks[1].figures["without_meaning"] == 1


def test_what_is_no_store(tmp_path):
    (tmp_path / "logs.sqlite").write_bytes(b"hello" * 1000)
    with pytest.raises(AuditError, match="not a store that can be read"):
        audit(str(tmp_path), [])
    (tmp_path / "logs.sqlite").write_bytes(b"")
    with pytest.raises(AuditError, match="not a store that can be read"):
        audit(str(tmp_path), [])


def test_the_command(original, capsysbinary):
    keys = [word for key in original.keys for word in ("--key", key)]
    assert command.main([str(original.folder), *keys, "--json"]) == 0
    report = json.loads(capsysbinary.readouterr().out)
    assert (report["verdict"], report["kind"], len(report["origins"])) == ("intact", "store", 2)
    assert command.main([str(original.folder), *keys, "--no-media"]) == 0
    assert command.main([str(original.folder)]) == 4
