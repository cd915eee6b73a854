"""Any byte of any file of a package may be flipped, cut or doubled: never `intact`, never a traceback."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.evidence.errors import NotAPackageError
from server.evidence.verdict import EXIT
from server.evidence.verify import verify
from tests.server.evidence.forge import Forger

MANY = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def package(golden_scene, tmp_path_factory):
    """(folder, copy that is spoiled and mended, keys)."""
    world, _, made = golden_scene
    folder = tmp_path_factory.mktemp("flips")
    made.write_folder(folder / "genuine")
    shutil.copytree(folder / "genuine", folder / "copy")
    return folder / "genuine", folder / "copy", world.trusted


@st.composite
def damage(draw):
    """(which file, where in it, how)."""
    how = draw(st.sampled_from(["flip", "cut", "double", "insert", "zero"]))
    return draw(st.floats(0, 1, exclude_max=True)), draw(st.floats(0, 1, exclude_max=True)), how, draw(st.integers(1, 255))


def spoil(data: bytes, where: float, how: str, value: int) -> bytes:
    at = int(where * len(data))
    if how == "flip":
        return data[:at] + bytes([data[at] ^ value]) + data[at + 1 :]
    if how == "cut":
        return data[:at]
    if how == "double":
        return data[:at] + data[max(0, at - value) :]
    if how == "insert":
        return data[:at] + bytes([value]) + data[at:]
    return data[:at] + bytes(min(value, len(data) - at)) + data[at + value :]


@MANY
@given(damage())
def test_damage_is_found(package, damage):
    genuine, copy, keys = package
    which, where, how, value = damage
    names = sorted(str(p.relative_to(genuine)) for p in genuine.rglob("*") if p.is_file())
    name = names[int(which * len(names))]
    data = (genuine / name).read_bytes()
    spoiled = spoil(data, where, how, value)
    try:
        (copy / name).write_bytes(spoiled)
        report = verify(str(copy), keys)
        if spoiled == data:
            assert report.verdict == "intact"
        else:
            assert report.verdict in ("tampered", "incomplete"), (name, how)
            assert report.first is not None
    finally:
        (copy / name).write_bytes(data)


@MANY
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255), st.sampled_from(["flip", "cut", "double", "insert", "zero"]))
def test_a_damaged_archive_is_judged_or_refused(package, where, value, how):
    genuine, copy, keys = package
    archive = Path(copy.parent) / "whole.zip"
    if not archive.exists():
        shutil.make_archive(str(archive.with_suffix("")), "zip", genuine)
    spoiled = archive.with_name("spoiled.zip")
    spoiled.write_bytes(spoil(archive.read_bytes(), where, how, value))
    with contextlib.suppress(NotAPackageError):
        assert verify(str(spoiled), keys).verdict in EXIT


SIGNED = ["data/journal.jsonl", "data/journal.proof", "data/device.tlog-proof", "data/beacon.note", "data/beacon.tlog-proof"]
SIGNED += ["data/anchor.proof", "data/anchor.tlog-proof", "data/custody.jsonl", "data/custody/2.tlog-proof"]
SIGNED += ["data/media/front.mp4", "data/media/still-1.jpg"]


@MANY
@given(st.sampled_from(SIGNED), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_what_is_signed_needs_no_manifest(golden_scene, package, name, where, value):
    """The same with manifests that fit: every byte of what is signed or proved counts for itself."""
    genuine, copy, keys = package
    world, device, _ = golden_scene
    data = (genuine / name).read_bytes()
    try:
        (copy / name).write_bytes(spoil(data, where, "flip", value))
        Forger(copy, world, device).rebag()
        report = verify(str(copy), keys)
        assert report.verdict != "intact", name
    finally:
        (copy / name).write_bytes(data)
