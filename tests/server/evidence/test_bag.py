"""Packages that are not what they should be: refused or judged, never followed, never a traceback."""

from __future__ import annotations

import os
import socket
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from server.evidence import zipbag
from server.evidence.command import main
from server.evidence.errors import EvidenceError, NotAPackageError
from server.evidence.opening import open_bag
from server.evidence.text import as_text
from server.evidence.verify import verify
from tests.server.evidence.forge import FRONT, judge


def archive_of(folder: Path, target: Path, change=None, method: int = zipfile.ZIP_STORED) -> Path:
    """A .zip of a folder; `change(archive)` adds to it."""
    with zipfile.ZipFile(target, "w", method) as out:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            out.write(path, str(path.relative_to(folder)))
        if change is not None:
            change(out)
    return target


# --------------------------------------------------------------------------- folders


@pytest.mark.parametrize("name", ["bagit.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt", "verify.pyz"])
def test_a_missing_tag_file(forger, name):
    forger.remove(name)
    judge(forger, "incomplete", name)


def test_each_payload_file_is_missed(forger):
    for name in [n for n in forger.names() if n.startswith("data/")]:
        data = forger.read(name)
        forger.remove(name)
        report = verify(str(forger.folder), forger.world.trusted)
        verdict = "untrusted" if name == "data/device.tlog-proof" else "incomplete"
        assert (report.verdict, report.first.place if report.first else "") == (verdict, name), as_text(report)
        forger.write(name, data)


OPTIONAL = ("keys.txt", "report.html", "certificates", "anchor")
"""What informs, and the anchor, which there need not be (half of one is another test)."""


def test_each_file_is_missed_when_the_manifests_keep_quiet_about_it(forger, tmp_path):
    for i, name in enumerate(n for n in forger.names() if n.startswith("data/") and not any(word in n for word in OPTIONAL)):
        copy = forger.copy_to(tmp_path / str(i))
        copy.remove(name)
        copy.rebag()
        report = verify(str(copy.folder), forger.world.trusted)
        expected = "untrusted" if name == "data/device.tlog-proof" else "incomplete"
        assert report.verdict == expected, (name, as_text(report))
        assert any(name == f.place for c in report.checks for f in c.findings), as_text(report)


@pytest.mark.parametrize(
    "name", ["data/notes.txt", "notes.txt", "data/custody/01.tlog-proof", "data/media/front.mov", "manifest-md5.txt", "a/b"]
)
@pytest.mark.parametrize("listed", [True, False])
def test_a_file_too_many(forger, name, listed):
    forger.write(name, "x")
    if listed:
        forger.rebag()
    judge(forger, "tampered", name)


def test_what_operating_systems_leave_behind_is_not_tampering(forger):
    forger.write(".DS_Store", "x")
    forger.write("data/Thumbs.db", "x")
    report = verify(str(forger.folder), forger.world.trusted)
    assert report.verdict == "intact"
    assert "data/Thumbs.db: left by an operating system" in as_text(report)


@pytest.mark.parametrize("name", ["data/report.html", "data/keys.txt", "verify.pyz", "bag-info.txt", "data/certificates/evidence.pem"])
def test_a_truncated_file(forger, name):
    forger.write(name, forger.read(name)[:-1])
    judge(forger, "tampered", name)


def test_links_are_not_followed(forger, tmp_path):
    (tmp_path / "elsewhere").write_bytes(forger.read(FRONT))
    forger.remove(FRONT)
    forger.path(FRONT).symlink_to(tmp_path / "elsewhere")
    judge(forger, "tampered", f"{FRONT}: a link or a device")


def test_a_link_to_a_folder_is_not_followed(forger):
    forger.path("data/more").symlink_to("/")
    judge(forger, "tampered", "data/more")


def test_pipes_and_sockets_are_not_opened(forger, monkeypatch):
    os.mkfifo(forger.path("data/pipe"))
    judge(forger, "tampered", "data/pipe")
    forger.path("data/pipe").unlink()
    monkeypatch.chdir(forger.folder)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind("sock")
        judge(forger, "tampered", "sock")


@pytest.mark.parametrize("name", ["DATA2/x y", "data/a\nb", "data/日本", "data/-", "data/..x", "data/ä"])
def test_a_name_that_no_package_has(forger, name):
    forger.write(name, "x")
    report = verify(str(forger.folder), forger.world.trusted)
    assert report.verdict == "tampered"


def test_names_that_differ_in_case_only(forger):
    forger.write("data/Journal.jsonl", "x")
    judge(forger, "tampered", "in case only")


def test_folders_too_deep(forger):
    forger.write("a/b/c/d/e/f/g/h/i", "x")
    judge(forger, "tampered", "deeper than a package")


def test_a_name_that_is_not_utf8(forger):
    (Path(os.fsdecode(os.fsencode(forger.folder) + b"/data/\xff\xfe"))).write_bytes(b"x")
    report = verify(str(forger.folder), forger.world.trusted)
    assert report.verdict == "tampered"
    as_text(report).encode()


@pytest.mark.parametrize(
    "row", ["../x", "/etc/passwd", "data/../../x", "bagit.txt", "data/x y", "data/media/front.mp4"], ids=lambda row: row.replace("/", "_")
)
def test_a_manifest_that_lists_what_it_should_not(forger, row):
    listed = forger.read("manifest-sha256.txt") + f"{'0' * 64}  {row}\n".encode()
    forger.write("manifest-sha256.txt", listed)
    report = verify(str(forger.folder), forger.world.trusted)
    assert report.verdict == "tampered"


@pytest.mark.parametrize("content", [b"", b"x", b"\xff\n", b"ABCD  data/x\n", b"\n", b"0" * 64 + b" data/x\n"])
def test_a_manifest_that_is_none(forger, content):
    forger.write("manifest-sha256.txt", content)
    judge(forger, "tampered", "manifest-sha256.txt")


def test_a_file_larger_than_its_kind_can_be(forger):
    with forger.path("data/recording.json").open("r+b") as file:
        file.truncate(1 << 33)
    forger.path("manifest-sha256.txt").write_bytes(forger.read("manifest-sha256.txt"))
    report = verify(str(forger.folder), forger.world.trusted)
    assert report.verdict == "tampered"
    assert "at most 67108864 bytes are expected" in as_text(report)


# --------------------------------------------------------------------------- no package at all


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x05\x06" + bytes(18), b"hello" * 1000, b"PK\x03\x04" + bytes(100), bytes(22)])
def test_a_file_that_is_no_package(tmp_path, content):
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(NotAPackageError):
        verify(str(tmp_path / "x.zip"), [])


@pytest.mark.parametrize("path", ["/nowhere/at/all", "/dev/null", "a\0b"])
def test_a_path_that_is_no_package(path):
    with pytest.raises(NotAPackageError):
        verify(path, [])


def test_an_empty_folder_is_no_package(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "not a package" in capsys.readouterr().err


# --------------------------------------------------------------------------- archives


def test_names_that_leave_the_archive(forger, tmp_path):
    def change(out: zipfile.ZipFile) -> None:
        for name in ("../outside", "/etc/cron.d/x", "data/../../x", "C:\\x", "data\\x", "./y"):
            out.writestr(name, "x")

    report = verify(str(archive_of(forger.folder, tmp_path / "x.zip", change)), forger.world.trusted)
    assert report.verdict == "tampered"
    assert report.checks[0].count >= 5, as_text(report)
    assert not (tmp_path / "outside").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_in_the_archive(forger, tmp_path):
    report = verify(
        str(archive_of(forger.folder, tmp_path / "x.zip", lambda out: out.writestr("data/keys.txt", "x"))), forger.world.trusted
    )
    assert report.verdict == "tampered"
    assert "two files under this name" in as_text(report)


def test_a_link_in_the_archive(forger, tmp_path):
    def change(out: zipfile.ZipFile) -> None:
        link = zipfile.ZipInfo("data/link")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        out.writestr(link, "/etc/passwd")

    report = verify(str(archive_of(forger.folder, tmp_path / "x.zip", change)), forger.world.trusted)
    assert report.verdict == "tampered"
    assert "data/link: a link" in as_text(report)


def test_a_bomb_is_not_inflated(forger, tmp_path):
    def change(out: zipfile.ZipFile) -> None:
        out.writestr("data/report.txt", bytes(300 << 20), zipfile.ZIP_DEFLATED, 9)

    report = verify(str(archive_of(forger.folder, tmp_path / "x.zip", change)), forger.world.trusted)
    assert report.verdict == "tampered"
    assert "more than 100 times" in as_text(report)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_is_not_read(forger, tmp_path, method):
    report = verify(str(archive_of(forger.folder, tmp_path / "x.zip", lambda out: out.writestr("x", "x", method))), forger.world.trusted)
    assert report.verdict == "tampered"
    assert "only stored and deflated" in as_text(report)


def patched(archive: Path, mark: bytes, name: bytes, at: int, value: bytes) -> None:
    """Change a field of the header with this mark that stands before a name."""
    data = bytearray(archive.read_bytes())
    head = {b"PK\x01\x02": 46, b"PK\x03\x04": 30}[mark]
    found = data.index(mark)
    while data[found + head : found + head + len(name)] != name:
        found = data.index(mark, found + 1)
    data[found + at : found + at + len(value)] = value
    archive.write_bytes(data)


@pytest.mark.parametrize(
    ("mark", "at", "value", "says"),
    [
        (b"PK\x01\x02", 8, b"\x01\x00", "encrypted"),
        (b"PK\x01\x02", 24, struct.pack("<L", 1), "stored, and yet"),
        (b"PK\x01\x02", 42, struct.pack("<L", 7), "says something else"),
        (b"PK\x03\x04", 8, b"\x08\x00", "says something else"),
        (b"PK\x03\x04", 30, b"X", "says something else"),
        (b"PK\x03\x04", 28, b"\xff\xff", "overlaps"),
        (b"PK\x01\x02", 42, struct.pack("<L", 0xFFFFFFF0), "says something else"),
    ],
)
def test_headers_that_lie(forger, tmp_path, mark, at, value, says):
    archive = archive_of(forger.folder, tmp_path / "x.zip")
    patched(archive, mark, b"data/keys.txt", at, value)
    report = verify(str(archive), forger.world.trusted)
    assert report.verdict == "tampered"
    assert says in as_text(report), as_text(report)


def test_files_that_overlap(forger, tmp_path):
    """Two entries over the same bytes: how a small archive becomes a large package."""
    archive = archive_of(forger.folder, tmp_path / "x.zip")
    data = archive.read_bytes()
    with zipfile.ZipFile(archive) as z:
        first = z.getinfo("data/report.html").header_offset
    patched(archive, b"PK\x01\x02", b"data/recording.json", 42, struct.pack("<L", first))
    assert archive.read_bytes() != data
    assert verify(str(archive), forger.world.trusted).verdict == "tampered"


def test_broken_compressed_data(forger, tmp_path):
    archive = archive_of(forger.folder, tmp_path / "x.zip", method=zipfile.ZIP_DEFLATED)
    data = bytearray(archive.read_bytes())
    at = data.index(b"data/journal.jsonl") + len(b"data/journal.jsonl") + 40
    data[at : at + 20] = bytes(20)
    archive.write_bytes(data)
    report = verify(str(archive), forger.world.trusted)
    assert report.verdict == "tampered"


def test_a_deflated_file_that_is_longer_or_shorter_than_it_says(forger, tmp_path):
    for size in (100, 10_000_000):
        archive = archive_of(forger.folder, tmp_path / f"{size}.zip", method=zipfile.ZIP_DEFLATED)
        patched(archive, b"PK\x01\x02", b"data/journal.jsonl", 24, struct.pack("<L", size))
        assert verify(str(archive), forger.world.trusted).verdict == "tampered"


def test_too_many_files_are_refused_before_they_are_read(tmp_path):
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1 << 40, 1 << 40, 1 << 50, 0)
    (tmp_path / "x.zip").write_bytes(end64 + struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1) + end)
    with pytest.raises(NotAPackageError):
        open_bag(str(tmp_path / "x.zip"))
    assert zipbag.MAX_DIRECTORY < 1 << 30


def test_bytes_before_and_behind_the_archive(forger, tmp_path):
    archive = archive_of(forger.folder, tmp_path / "x.zip")
    data = archive.read_bytes()
    for spoiled in (b"x" + data, data + b"x", data[:-5], data[: len(data) // 2]):
        archive.write_bytes(spoiled)
        with pytest.raises(EvidenceError):
            verify(str(archive), forger.world.trusted)


def test_a_checksum_of_zip_is_not_what_protects(forger, tmp_path):
    """A wrong CRC alone means nothing: the digests decide."""
    archive = archive_of(forger.folder, tmp_path / "x.zip")
    patched(archive, b"PK\x01\x02", b"data/keys.txt", 16, struct.pack("<L", zlib.crc32(b"other")))
    assert verify(str(archive), forger.world.trusted).verdict == "intact"
