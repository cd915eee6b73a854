"""The golden package: its bytes are fixed, its verdict is `intact`, and it does not matter how it is carried."""

from __future__ import annotations

import hashlib
import io
import zipfile

import pytest

from agent.core import note
from server.evidence.text import as_text
from server.evidence.verify import CHECKS, verify
from tests.server.evidence.conftest import RECORDING, export, scene

TAG_MANIFEST_SHA256 = "c3e979d36c1807f882f0ca1baeb65953b82ed494d854baa5c7fb24b9c450d1ff"
"""Of everything in the golden package but verify.pyz, which is a stand-in there: its bytes change with the code, not with the format."""


def test_it_comes_out_byte_for_byte(golden):
    folder, _ = golden
    digest = hashlib.sha256((folder / "tagmanifest-sha256.txt").read_bytes()).hexdigest()
    assert digest == TAG_MANIFEST_SHA256, "the format of packages changed: say so in docs/evidence-format.md and in the changelog"


def test_it_comes_out_the_same_again(golden):
    folder, _ = golden
    world, device = scene()
    for member in export(world, device).members:
        assert b"".join(member.pieces()) == (folder / member.name).read_bytes(), member.name


def test_it_is_intact(golden):
    folder, keys = golden
    report = verify(str(folder), keys)
    assert (report.verdict, report.exit_status(), report.first) == ("intact", 0, None), as_text(report)
    assert [check.name for check in report.checks] == list(CHECKS)
    facts = report.facts
    assert (facts["recording"], facts["device"], facts["part"]) == (RECORDING, "DSJ-0012345", "whole")
    assert (facts["lines"], facts["fragments"], facts["bytes"], facts["marks"]) == (24, 10, 16180, ["重点"])
    assert 1_763_712_000_000 < facts["not_before"] < facts["not_after"] < 1_763_712_060_000


def test_every_check_says_its_figures(golden):
    folder, keys = golden
    for check in verify(str(folder), keys).checks:
        assert check.says, check.name
        assert check.figures, check.name


def test_the_text_names_verdict_and_checks_in_both_languages(golden):
    folder, keys = golden
    text = as_text(verify(str(folder), keys))
    assert text.startswith(f"{folder}: intact 完整")
    assert text.count("[ ok ]") == len(CHECKS)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_how_many_hash_makes_no_difference(golden, workers):
    folder, keys = golden
    assert verify(str(folder), keys, workers=workers).as_json() == verify(str(folder), keys).as_json()


def test_media_digests_are_computed_on_request(golden):
    folder, keys = golden
    report = verify(str(folder), keys, media_digests=True)
    assert report.verdict == "intact"
    assert report.checks[0].figures["hashed"] == verify(str(folder), keys).checks[0].figures["hashed"] + 2


def test_a_zip_gives_the_same_report(golden_scene, golden, tmp_path):
    folder, keys = golden
    made = golden_scene[2]
    archive = tmp_path / "package.zip"
    archive.write_bytes(b"".join(made.zip_pieces()))
    assert archive.stat().st_size == made.zip_size
    assert verify(str(archive), keys).as_json() == verify(str(folder), keys).as_json()


def test_other_people_can_open_the_zip(golden_scene):
    made = golden_scene[2]
    with zipfile.ZipFile(io.BytesIO(b"".join(made.zip_pieces()))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"{RECORDING}/{m.name}" for m in made.members]


@pytest.mark.parametrize(("method", "top"), [(zipfile.ZIP_DEFLATED, "a folder/"), (zipfile.ZIP_STORED, "")])
def test_a_zip_that_somebody_else_made_gives_the_same_report(golden, tmp_path, method, top):
    folder, keys = golden
    archive = tmp_path / "again.zip"
    with zipfile.ZipFile(archive, "w", method) as out:
        for path in sorted(folder.rglob("*")):
            out.write(path, top + str(path.relative_to(folder)))
    assert verify(str(archive), keys).as_json() == verify(str(folder), keys).as_json()


def test_a_device_with_an_ecdsa_key(tmp_path):
    world, device = scene(note.ECDSA)
    export(world, device).write_folder(tmp_path / "package")
    report = verify(str(tmp_path / "package"), world.trusted)
    assert report.verdict == "intact", as_text(report)
    assert next(c for c in report.checks if c.name == "device key").figures["algorithm"] == "ECDSA P-256"


def test_keys_may_come_in_a_file(golden, tmp_path):
    folder, keys = golden
    (tmp_path / "keys.txt").write_text("# from the agency\n\n" + "\n".join(keys) + "\n")
    assert verify(str(folder), [str(tmp_path / "keys.txt")]).verdict == "intact"
