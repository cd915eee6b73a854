"""The writer: one commit for many, and one who fails harms nobody else."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import Future

import pytest

from server import database
from server.database import Writer, write_engine
from server.errors import Closed, Conflict, StorageError
from server.services import open_services


@pytest.fixture
def writer(tmp_path):
    made = Writer(write_engine(tmp_path / "x.sqlite"), "x")
    made.call(lambda t: t.execute("CREATE TABLE n (n INTEGER PRIMARY KEY)"))
    yield made
    made.close()


def numbers(tmp_path):
    with sqlite3.connect(tmp_path / "x.sqlite") as other:
        found = [n for (n,) in other.execute("SELECT n FROM n ORDER BY n")]
    other.close()
    return found


def insert(number):
    return lambda t: t.execute("INSERT INTO n VALUES (:n)", {"n": number}).rowcount


def together(writer, *stages):
    """Submit stages that will share a transaction: the writer is busy while they come."""
    futures: list[Future[object]] = []
    writer.call(lambda _t: futures.extend(writer.submit(stage) for stage in stages))
    return futures


def test_who_fails_harms_nobody_else(writer, tmp_path):
    def refuse(_transaction):
        raise ValueError("not me")

    first, bad, last = together(writer, insert(1), refuse, insert(2))
    assert (first.result(), last.result()) == (1, 1)
    assert isinstance(bad.exception(), ValueError)
    assert numbers(tmp_path) == [1, 2]


def test_a_file_that_is_no_database_is_said_with_what_to_do(tmp_path):
    (tmp_path / "x.sqlite").write_bytes(b"not a database " * 300)
    engine = write_engine(tmp_path / "x.sqlite")
    with pytest.raises(StorageError, match=r"x\.sqlite: file is not a database; delete it$"):
        database.check(engine, "delete it")
    engine.dispose()


def test_a_server_over_broken_logs_says_so_and_ends(services):
    settings = services.settings
    broken = settings.path("logs.sqlite")
    services.logs_writer.close()
    services.catalogue_writer.close()
    for path in broken.parent.glob("logs.sqlite-*"):
        path.unlink()
    broken.write_bytes(b"not a database " * 300)
    settings.path("writer.lock").unlink()  # as after the end of the process that held it
    with pytest.raises(StorageError, match="restore it from a backup"), open_services(settings):
        pass


@pytest.mark.parametrize("left", [None, b""])
def test_a_server_whose_logs_are_gone_begins_no_second_ledger(services, left):
    settings = services.settings
    services.logs_writer.close()
    services.catalogue_writer.close()
    for path in settings.folder.glob("logs.sqlite*"):
        path.unlink()
    if left is not None:
        settings.path("logs.sqlite").write_bytes(left)
    settings.path("writer.lock").unlink()
    with pytest.raises(StorageError, match=r"logs\.sqlite: gone, and .*catalogue\.sqlite is there; .* restore it"), open_services(settings):
        pass
    assert settings.path("logs.sqlite").exists() is (left is not None)


def test_a_databases_refusal_becomes_ours(writer, tmp_path):
    first, twice = together(writer, insert(1), insert(1))
    assert first.result() == 1
    assert isinstance(twice.exception(), StorageError)
    assert numbers(tmp_path) == [1]


def test_compare_and_swap_must_change_every_row(writer, tmp_path):
    together(writer, insert(1), insert(2))[1].result()
    with pytest.raises(Conflict, match="1 of 2 rows"):
        writer.call(lambda t: t.change("UPDATE n SET n = n + 10 WHERE n = ?", [(1,), (3,)]))
    assert numbers(tmp_path) == [1, 2]


def test_nobody_is_told_before_the_commit(writer, tmp_path):
    seen = []
    writer.call(lambda t: (insert(1)(t), t.after_commit(lambda: seen.append(numbers(tmp_path)))))
    assert seen == [[1]]


def test_nobody_is_told_of_what_failed(writer):
    told = []

    def stage(transaction):
        transaction.after_commit(lambda: told.append(1))
        raise ValueError("after all")

    with pytest.raises(ValueError, match="after all"):
        writer.call(stage)
    assert told == []


def test_later_is_not_never(writer):
    done = []
    writer.submit_later(0.01, lambda _t: done.append(1))
    while not done:
        writer.call(lambda _t: None)


def test_closing_commits_what_was_submitted(tmp_path):
    made = Writer(write_engine(tmp_path / "x.sqlite"), "x")
    made.call(lambda t: t.execute("CREATE TABLE n (n INTEGER PRIMARY KEY)"))
    futures = [made.submit(insert(number)) for number in range(100)]
    made.close()
    assert all(future.done() for future in futures)
    assert numbers(tmp_path) == list(range(100))
    with pytest.raises(Closed):
        made.submit(insert(1))


def test_it_is_durable_when_it_says_so(writer):
    found = writer.call(lambda t: [t.execute(f"PRAGMA {name}").scalar_one() for name in ("journal_mode", "synchronous")])
    assert found == ["wal", 2]


def test_a_second_process_is_kept_away(tmp_path):
    code = f"""
import sys
from concurrent.futures import Future
from pathlib import Path
from server import database
from server.errors import StorageError
try:
    with database.lock(Path({str(tmp_path / "writer.lock")!r})):
        print("in")
except StorageError as e:
    print(e)
"""
    with database.lock(tmp_path / "writer.lock"):
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "another process is writing here" in said
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "in\n"
