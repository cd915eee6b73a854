"""The catalogue's packed values and schema, and files on disk."""

from __future__ import annotations

import os
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import StorageError, StorageFull
from server.services import World, open_services
from server.store import migrate, objects
from server.store.catalogue import Fragment, pack, unpack
from server.store.objects import Objects

NUMBER = st.integers(0, 2**53)
FRAGMENTS = st.builds(
    Fragment,
    seq=st.integers(0, 2**32 - 1),
    line=NUMBER,
    offset=NUMBER,
    bytes=st.integers(1, 2**32 - 1),
    sha256=st.binary(min_size=32, max_size=32),
    pts=NUMBER,
    duration=NUMBER,
    held=st.booleans(),
    lost=st.booleans(),
)


@given(st.lists(FRAGMENTS, max_size=5))
def test_what_is_packed_is_what_was_there(fragments):
    assert unpack(pack(fragments)) == fragments


def test_a_catalogue_of_a_newer_release(settings, clock):
    with open_services(settings, World(clock)) as services:
        assert services.rebuilding
        services.catalogue_writer.call(migrate.filled)
    with open_services(settings, World(clock)) as services:
        assert not services.rebuilding
    with sqlite3.connect(settings.path("catalogue.sqlite")) as other:
        other.execute("UPDATE alembic_version SET version_num = '9999'")
    other.close()
    with pytest.raises(StorageError, match="newer release"), open_services(settings, World(clock)):
        pass


def test_logs_of_another_version(settings, clock):
    with open_services(settings, World(clock)):
        pass
    with sqlite3.connect(settings.path("logs.sqlite")) as other:
        other.execute("PRAGMA user_version=7")
    other.close()
    with pytest.raises(StorageError, match="expected version 1, got 7"), open_services(settings, World(clock)):
        pass


def test_bytes_at_offsets_with_holes_between(tmp_path):
    held = Objects(tmp_path / "media", 0)
    path = held.path("D", "R", "front", "video/mp4")
    assert path == tmp_path / "media" / "D" / "R" / "front.mp4"
    with held.writing(path) as descriptor:
        objects.write_at(descriptor, b"later", 10)
        objects.write_at(descriptor, b"first", 0)
    assert path.read_bytes() == b"first" + b"\0" * 5 + b"later"
    assert held.read(path, 10, 5) == b"later"
    with pytest.raises(StorageError, match="expected 9 bytes at 10, got 5"):
        held.read(path, 10, 9)


@pytest.mark.parametrize(("media", "name"), [("audio/mp4", "t.m4a"), ("image/jpeg", "t.jpg"), ("text/html", "t.bin")])
def test_a_files_name_tells_its_kind(tmp_path, media, name):
    assert Objects(tmp_path / "media", 0).path("D", "R", "t", media).name == name


def test_the_reserve_is_never_filled(tmp_path):
    with pytest.raises(StorageFull, match="kept in reserve"):
        Objects(tmp_path / "media", 1 << 60).make_room(1)


def test_the_disks_errors_become_ours(tmp_path, monkeypatch):
    held = Objects(tmp_path / "media", 0)

    def refuse(_descriptor):
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(os, "fdatasync", refuse)
    with pytest.raises(StorageError, match="Input/output error"), held.writing(held.path("D", "R", "t", "video/mp4")):
        pass
