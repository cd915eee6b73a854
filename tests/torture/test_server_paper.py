"""A taped run of the server, cut after its steps; and the judge would see any sync that is missing."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from simulators.torture.cuts import Replay
from simulators.torture.kernel import Step
from simulators.torture.papercuts import Paper, delayed, hastened
from simulators.torture.programme.effort import QUICK, Place
from simulators.torture.programme.server import sentence, tapes
from simulators.torture.tapes import Run

pytestmark = pytest.mark.timeout(900)
"""Some thousand disks; no limit of time is what this asks about."""

UNSEEN = {"writer.lock"}
"""Opened by Python's own `open`; it is empty, and no promise hangs on it."""


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> list[Paper]:
    folder = tmp_path_factory.mktemp("tapes")
    return list(tapes(Place(folder / "memory", folder), QUICK, 0.6))


def test_the_tape_is_the_whole_disk(papers: list[Paper]):
    for paper in papers:
        replay = Replay.of(paper.run.image)
        for step in paper.run.tape:
            replay.play(step)
        seen, real = replay.visible().image(), paper.run.end
        assert {name: data for name, data in real.files.items() if name not in UNSEEN} == {
            name: data for name, data in seen.files.items() if name not in UNSEEN
        }
        assert seen.folders == real.folders


def test_no_cut_loses_what_was_told(papers: list[Paper]):
    for paper in papers:
        found = paper.cut(seed=1, samples=0, share=0.1, starts=8)
        assert found.tried > 100
        assert not found.red, found.examples
        assert paper.started == 8


def test_each_sync_of_the_server_is_missed_when_it_is_taken_away(papers: list[Paper]):
    """Found at run time; what only SQLite syncs twice, or a neighbour syncs too, is told apart."""
    answers = [papers[0].ask(name, thorough=False) for name in papers[0].syncs()]
    assert len(answers) > 20
    assert [sentence(answer) for answer in answers if not answer.idle and not answer.seen] == []
    assert all(" once more " in answer.what for answer in answers if answer.idle)
    own = [answer for answer in answers if "server.store" in answer.what or "create_folder" in answer.what]
    assert len(own) == 5
    assert [answer.what for answer in own if answer.covered] == []


def test_whatever_is_told_too_early_is_seen(papers: list[Paper]):
    answers = [papers[0].hasty(name) for name in papers[0].tells()]
    assert {"publish zhilu/*/witness", "publish zhilu/*/receipt", "publish zhilu/ledger"} <= {answer.what for answer in answers}
    assert [sentence(answer) for answer in answers if not answer.seen] == []


# ----------------------------------------------------------------- turning a tape round

A, B, C = (Step("write", number, name) for number, name in ((1, "a"), (1, "b"), (1, "c")))
SYNC, TELL = Step("sync", 1, "sync"), Step("tell", site="tell", name="0")


def test_a_sync_can_be_late():
    assert delayed([A, SYNC, B, C, SYNC], "sync", 1) == ([A, B, SYNC, C, SYNC], "b")
    assert delayed([A, SYNC, B], "sync", 9) == ([A, B, SYNC], "")


def test_a_word_can_be_early():
    assert hastened([A, SYNC, B, SYNC, TELL], "tell", 1) == [A, SYNC, B, TELL, SYNC]
    assert hastened([A, SYNC, B, SYNC, TELL], "tell", 2) == [A, TELL, SYNC, B, SYNC]
    assert hastened([A, SYNC, TELL], "other", 1) == [A, SYNC, TELL]


# ----------------------------------------------------------------- SQLite's calls

PROGRAM = """
import sqlite3, sys
from pathlib import Path
from simulators.torture import vfs
def watch(call, do):
    print(call.kind, call.path.name, call.offset, len(call.data), call.folder)
    return 0 if f"{call.kind} {call.path.name}" in sys.argv[2:] else do()
vfs.install(watch)
database = sqlite3.connect(Path(sys.argv[1]) / "x.sqlite", isolation_level=None)
for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "CREATE TABLE t (a)", "INSERT INTO t VALUES (1)"):
    database.execute(statement)
print("closing", flush=True)
database.close()
"""


def calls(folder: Path, *instead: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(folder), *instead], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_every_call_of_sqlite_is_seen_and_nothing_is_changed(tmp_path: Path):
    said = calls(tmp_path)
    assert said[0] == "create x.sqlite 0 0 False"
    before, after = said[: said.index("closing")], said[said.index("closing") + 1 :]
    at = before.index("create x.sqlite-wal 0 0 False")
    assert before[at + 1 : at + 3] == ["write x.sqlite-wal 0 32 False", "sync x.sqlite-wal 0 0 True"]
    assert before[-2:] == ["write x.sqlite-wal 8296 4096 False", "sync x.sqlite-wal 0 0 False"]
    assert after[-2:] == ["sync x.sqlite 0 0 False", "delete x.sqlite-wal 0 0 False"]
    with sqlite3.connect(tmp_path / "x.sqlite") as database:
        assert database.execute("SELECT a FROM t").fetchall() == [(1,)]


def test_a_call_can_be_left_undone(tmp_path: Path):
    assert calls(tmp_path, "delete x.sqlite-wal")[-1] == "delete x.sqlite-wal 0 0 False"
    assert (tmp_path / "x.sqlite-wal").exists()


def test_a_judge_that_reads_nothing_would_be_found_out(papers: list[Paper]):
    """The disk on which the run began, and all that was told in it: everything is missing."""
    run: Run = papers[0].run
    early = replace(run, tape=sorted(run.tape, key=lambda step: step.kind != "tell"))
    paper = Paper(papers[0].folder, early, papers[0].devices, papers[0].domain)
    tells = sum(step.kind == "tell" for step in run.tape)
    problems = [
        problem for _, devices, image in paper.disks(early.tape, 1, 0, {tells}) for problem in paper.judged(image, devices).problems
    ]
    for words in ("were cosigned and told, 0 are there", "lines were let out, 0 are there", "which a receipt proved", "which are stored"):
        assert any(words in problem for problem in problems), words
