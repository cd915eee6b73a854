"""A settings file is taken whole or refused with every mistake named: file, line, key, expected, got."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import config
from agent.errors import SettingsError

FILE = Path("/etc/zhilu/settings.toml")

LEAST = """\
[server]
url = "https://server.example.gov:8443"

[broker]
host = "broker.example.gov"

[board.camera]
driver = "simulators.camera:FileCamera"
clip = "./media/street.mp4"
loop = true
"""


def refused(text: str) -> list[str]:
    with pytest.raises(SettingsError) as error:
        config.parse(text.encode(), FILE)
    return str(error.value).splitlines()


def test_the_least_file_gives_every_default():
    settings = config.parse(LEAST.encode(), FILE)
    assert settings.broker.port == 8883
    assert settings.capture.pre_event_s == 30
    assert settings.state == FILE.parent
    assert settings.resolve(settings.tls.key) == FILE.parent / "tls/device.key"


def test_paths_and_options_are_relative_to_the_file():
    settings = config.parse((LEAST + '\n[agent]\nstate = "state"\n').encode(), FILE)
    assert settings.state == FILE.parent / "state"
    tables = settings.board_tables()
    assert list(tables) == ["camera"]
    assert tables["camera"] == {"driver": "simulators.camera:FileCamera", "clip": str(FILE.parent / "media/street.mp4"), "loop": True}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("url =", "ulr ="), "line 2, server.ulr: there is no such setting; did you mean url?"),
        (('"https://server.example.gov:8443"', '"http://server.example.gov"'), "line 2, server.url: expected text like"),
        (('"https://server.example.gov:8443"', "8443"), "line 2, server.url: expected text in quotes, got 8443"),
        (('host = "broker.example.gov"', ""), "line 4, broker.host: expected a value, got none; add it"),
        (('host = "broker', 'keepalive_ms = 3\nhost = "broker'), "keepalive_ms: there is no such setting; did you mean keepalive_s?"),
        (("[broker]", "[broker]\nport = 65536"), "line 5, broker.port: expected at most 65535, got 65536"),
        (("[broker]", "[broker]\nport = 0"), "line 5, broker.port: expected at least 1, got 0"),
        (("[broker]", '[broker]\nport = "8883"'), "line 5, broker.port: expected an integer, got '8883'"),
        (("[broker]", "[broker]\nport = 8883.5"), "line 5, broker.port: expected an integer, got 8883.5"),
        (("[broker]", "[broker]\nport = true"), "line 5, broker.port: expected an integer, got true"),
        (("[broker]", '[broker]\nversion = "3.1"'), "line 5, broker.version: expected '5.0' or '3.1.1', got '3.1'"),
        (("[board.camera]", "[uplink]\nonly_networks = 'wlan0'\n[board.camera]"), "expected a list in square brackets, got 'wlan0'"),
        (("[board.camera]", "[capture]\npre_event_s = 121\n[board.camera]"), "capture.pre_event_s: expected at most 120, got 121"),
        (
            ("[board.camera]", "[storage]\nkeep_hours = 3\n[board.camera]"),
            "storage.keep_hours: there is no such setting; did you mean keep_days?",
        ),
        (("[board.camera]", "[boards.camera]"), "line 7, boards: there is no such setting; did you mean board?"),
        (("[board.camera]", "[board.kamera]"), "line 7, board.kamera: there is no such setting; did you mean camera?"),
        (("simulators.camera:FileCamera", "simulators.camera"), "line 8, board.camera.driver: expected text like"),
        (("[server]", "capture = 3\n[server]"), "line 1, capture: expected a table, got 3"),
        (("[board.camera]", "[agent]\nresume_after_power_loss = 'yes'\n[board.camera]"), "expected true or false, got 'yes'"),
    ],
)
def test_a_mistake_is_named_with_its_line(change, expected):
    found = refused(LEAST.replace(*change))
    assert any(expected in line for line in found), found
    assert all(line.startswith(str(FILE)) for line in found)


def test_all_mistakes_are_named_at_once_in_the_files_order():
    text = LEAST.replace("url", "ulr").replace("host", "hots") + "\n[capture]\nfragment_ms = 10\n"
    found = refused(text)
    assert [line.partition(": ")[0].rpartition(", ")[2] for line in found] == [
        "server.url",
        "server.ulr",
        "broker.host",
        "broker.hots",
        "capture.fragment_ms",
    ]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"[server\n", "expected TOML"),
        (b"a = 1\na = 2\n", "expected TOML"),
        (b"\xff\xfe", "expected UTF-8, got byte 0xff at 0"),
        (b"path = 'x'\n", "path: there is no such setting"),
        (b"", "server: expected a value, got none"),
    ],
)
def test_what_is_no_settings_file_is_refused(raw, expected):
    with pytest.raises(SettingsError, match=expected):
        config.parse(raw, FILE)


def test_a_file_that_is_not_there_or_too_long_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="No such file"):
        config.load(tmp_path / "settings.toml")
    (tmp_path / "settings.toml").write_bytes(b"#" * (config.MAX_FILE_BYTES + 1))
    with pytest.raises(SettingsError, match="at most"):
        config.load(tmp_path / "settings.toml")


@given(st.text(max_size=60), st.sampled_from(["[server]\n", "[capture]\n", "", "[board.camera]\n"]))
def test_any_text_is_taken_or_refused_and_never_a_traceback(text, heading):
    with suppress(SettingsError):
        config.parse((heading + text).encode("utf-8", "surrogatepass"), FILE)


def test_every_key_with_a_figure_has_its_unit():
    units = ("_s", "_ms", "_bytes", "_bytes_per_s", "_days", "_percent", "_minutes", "_steps", "_kmh")
    counts = {"port", "batches_in_flight", "upload_parallel"}
    for name, section in config.Settings.model_fields.items():
        fields = getattr(section.annotation, "model_fields", {})
        for key, field in fields.items():
            if field.annotation is int:
                assert key.endswith(units) or key in counts, f"{name}.{key}"


def test_the_defaults_are_toml_that_can_be_written_down():
    settings = config.parse(LEAST.encode(), FILE)
    assert tomllib.loads(LEAST)["broker"]["host"] == settings.broker.host
