"""`zhilu export`: from a server that runs and from its data folder, to a package that verifies."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from provisioning import deployment as deployments
from server import config
from server.evidence import bagwriter, export
from server.evidence.bagwriter import of_bytes
from server.evidence.errors import ExportError
from server.evidence.text import as_text
from server.evidence.verify import verify
from server.services import open_services
from tests.server.conftest import line_up
from tests.server.evidence.store import keys_of, record, send, stored, switch_on
from tests.server.process import ServerProcess, settings_with
from tests.server.virtual import DOMAIN, Device


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    """(deployment whose server holds one stored recording and one without its media, their ids, keys)."""
    made = deployments.create(tmp_path_factory.mktemp("export") / "deployment", DOMAIN, ports=deployments.Ports(1, 0, 0))
    settings_with(made, media={"reserve_bytes": 0})
    with open_services(config.load(made.server_settings)) as services:
        ingest = line_up(services)
        device, other = Device(), Device("DSJ-0000002", seed=2)
        first = stored(ingest, device)
        second = record(other, switch_on(ingest, other))
        send(ingest, other)
        return made, first.recording, second.recording, keys_of(services)


@pytest.fixture(scope="module")
def server(deployment):
    running = ServerProcess(deployment[0])
    yield f"http://127.0.0.1:{running.ports['console_port']}"
    assert running.stop() == 0


def run(capsys, *arguments: object) -> dict:
    status = export.main([*map(str, arguments), "--json"])
    said = capsys.readouterr()
    assert status == 0, said.err
    answer: dict = json.loads(said.out)
    return answer


def custody(package: Path) -> list[dict]:
    return [json.loads(line) for line in (package / "data/custody.jsonl").read_text().splitlines()]


def test_a_recording_from_a_server_that_runs(deployment, server, tmp_path, capsys):
    _, recording, _, keys = deployment
    answer = run(capsys, recording, "-o", tmp_path, "--server", server)
    assert answer["package"] == str(tmp_path / recording)
    report = verify(answer["package"], keys)
    assert report.verdict == "intact", as_text(report)
    assert [m["kind"] for m in custody(tmp_path / recording)][:2] == ["start", "stored"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [recording]
    assert (tmp_path / recording / "verify.pyz").stat().st_size > 10_000


def test_every_export_is_written_down_before_it_goes_out(deployment, server, tmp_path, capsys):
    recording = deployment[1]
    counts = []
    for i in range(2):
        run(capsys, recording, "-o", tmp_path / str(i), "--server", server)
        counts.append(len(custody(tmp_path / str(i) / recording)))
    assert counts[1] == counts[0] + 1


def test_an_excerpt_as_a_zip(deployment, server, tmp_path, capsys):
    _, recording, _, keys = deployment
    answer = run(capsys, recording, "-o", tmp_path, "--server", server, "--from", 1000, "--to", 2000, "--zip")
    assert answer["package"] == str(tmp_path / f"{recording}_1000-2000.zip")
    assert zipfile.is_zipfile(answer["package"])
    report = verify(answer["package"], keys)
    assert report.verdict == "excerpt", as_text(report)
    assert report.facts["fragments"] == 2


def test_a_recording_whose_media_are_not_here_yet_is_incomplete(deployment, server, tmp_path, capsys):
    _, _, recording, keys = deployment
    report = verify(run(capsys, recording, "-o", tmp_path, "--server", server)["package"], keys)
    assert report.verdict == "incomplete"
    assert report.first is not None
    assert report.first.place == "track front fragment 0"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["01JD8Z3V9M5Q7R2T4W6Y8A0C1E"], "no recording"),
        (["../../etc/passwd"], "nothing has this address here"),
        (["RECORDING", "--from", "5", "--to", "5"], "to a later one"),
        (["RECORDING", "--from", "90000000"], "to a later one"),
        (["RECORDING", "--server", "http://127.0.0.1:1"], "is the server running?"),
        (["RECORDING", "--server", "file:///etc"], "expected an http or https address"),
        (["RECORDING", "--settings", "/nowhere/settings.toml"], "settings.toml"),
    ],
)
def test_what_can_not_be_exported_says_why(deployment, server, tmp_path, capsys, arguments, says):
    given = [deployment[1] if a == "RECORDING" else a for a in arguments]
    given += [] if "--server" in given else ["--server", server]
    assert export.main([*given, "-o", str(tmp_path / "out")]) == 1
    assert says in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_can_not_be_made_is_named(server, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert export.main(["RECORDING", "-o", str(tmp_path / "file" / "out"), "--server", server]) == 1
    assert capsys.readouterr().err == f"zhilu export: {tmp_path}/file/out: Not a directory\n"


def test_nothing_is_overwritten(deployment, server, tmp_path, capsys):
    recording = deployment[1]
    for more in ([], ["--zip"]):
        run(capsys, recording, "-o", tmp_path, "--server", server, *more)
        assert export.main([recording, "-o", str(tmp_path), "--server", server, *more]) == 1
        assert "is there already" in capsys.readouterr().err


def test_a_data_folder_that_a_server_holds_is_left_alone(deployment, server, tmp_path, capsys):
    assert server
    assert export.main([deployment[1], "-o", str(tmp_path), "--settings", str(deployment[0].server_settings)]) == 1
    assert "another process is writing here" in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--zip"], ["--from", "0", "--to", "500"]])
def test_from_the_data_folder_while_no_server_runs(settings, tmp_path, capsys, more):
    with open_services(settings) as services:
        recording = stored(line_up(services), Device()).recording
        keys = keys_of(services)
    answer = run(capsys, recording, "-o", tmp_path / "out", "--settings", settings.folder / "settings.toml", *more)
    assert verify(answer["package"], keys).verdict == ("excerpt" if "--to" in more else "intact")


def test_a_package_appears_whole_or_not_at_all(tmp_path):
    broken = bagwriter.Member("data/x", 5, "", 0, lambda: [b"abc"])
    with pytest.raises(ExportError, match="expected 5 bytes, its source gave 3"):
        bagwriter.write_folder([of_bytes("bagit.txt", b"x"), broken], tmp_path / "package")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ExportError, match="expected 5 bytes"):
        list(bagwriter.zip_pieces([broken], "package"))


def test_an_archive_that_is_not_ours_is_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as out:
        out.writestr("bagit.txt", "x")
        out.writestr("../outside", "x")
    with pytest.raises(ExportError, match="a name that no file of a package has"):
        export.unpack(tmp_path / "x.zip", tmp_path / "inside")
    assert not (tmp_path / "inside").exists()
