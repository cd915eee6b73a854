"""Settings, enrolments, scripts and stories: files that people write are taken whole, or refused in the words of who reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import config as agent_config
from agent.core import note
from agent.core.errors import CoreError
from agent.errors import AgentError, SettingsError
from agent.pipeline import enrolment
from hal.contracts import ClockReading
from provisioning import deployment, toml
from provisioning.errors import DeploymentError, SettingsFileError
from server import config as server_config
from server import errors as server_errors
from server.ingest import enrolments
from simulators import host, orders
from simulators.errors import ScriptError, SimulatorError
from simulators.universe import scenario
from tests.fuzz.hostile import LONG, bytes_like, json_bytes_like
from tests.server.virtual import DOMAIN, Device

AGENT = b"""\
[agent]
state = "."

[server]
url = "https://server.example.gov:8443"

[broker]
host = "broker.example.gov"
port = 8883

[uplink]
only_networks = ["wlan0"]

[overlay]
utc_offset_minutes = 480

[board.camera]
driver = "simulators.camera:FileCamera"
clip = "./media/street.mp4"
loop = true
"""
HERE = AGENT.replace(b"broker.example.gov", b"localhost").replace(b"server.example.gov", b"localhost")
SERVER = b"""\
domain = "evidence.example.gov"

[devices]
port = 8443

[broker]
host = "localhost"

[media]
request_bytes = 67108864
"""
DEPLOYMENT = b"""\
domain = "evidence.example.gov"
host = "localhost"
listen = "127.0.0.1"

[ports]
broker = 8883
devices = 8443
console = 8080
"""
SCRIPT = b"""\
[[step]]
at = 1.5
to = "button"
do = "edge"
button = "record"
down = true
"""
DEVICE = Device()
MEMBERS: dict[str, Any] = {
    **DEVICE.enrolment,
    "domain": DOMAIN,
    "keys": {
        "ledger": note.vkey(f"{DOMAIN}/ledger", note.ED25519, DEVICE.public),
        "witness": note.vkey(f"{DOMAIN}/witness", note.COSIGNATURE, DEVICE.public),
        "orders": note.vkey(f"{DOMAIN}/orders", note.ED25519, DEVICE.public),
    },
}
STORY = b"""\
name: a week
says: the server is away
seed: 3
devices: 2
settings: {keep days: 7, resume: no, reserve MB: 500, sent twice below: 5%, shared line kbit/s: 64}
story:
- at: day 1 08:00
  do: record
- {after: 2 h, device: all, do: power cut}
- {at: "day 3 12:00", expect: {waiting: nothing}, within: 5 min, device: 2}
"""


def _agent(path: Path) -> None:
    loaded = agent_config.load(path)
    assert loaded.overlay.zone.utcoffset(None) is not None
    for name in (loaded.agent.state, loaded.tls.ca, loaded.tls.certificate, loaded.tls.key):
        loaded.resolve(name)
    loaded.board_tables()


def _server(path: Path) -> None:
    loaded = server_config.load(path)
    for name in (loaded.devices.ca, loaded.broker.certificate):
        loaded.path(name).exists()


class StandStill:
    """A clock."""

    def up_us(self) -> int:
        return 0

    def wall_ms(self) -> int:
        return 0

    def reading(self) -> ClockReading:
        return ClockReading("none", 0, 0)


@dataclass(frozen=True)
class File:
    """A kind of file: who reads it, what is genuine, and what may be raised."""

    read: Callable[[Path], object]
    genuine: tuple[bytes, ...]
    refuses: tuple[type[Exception], ...]
    name: str = "file"


FILES = {
    "agent": File(_agent, (AGENT,), (SettingsError,)),
    "server": File(_server, (SERVER,), (server_errors.SettingsError,)),
    "over the defaults": File(toml.read, (AGENT,), (SettingsFileError,)),
    "deployment": File(lambda path: deployment.load(path.parent), (DEPLOYMENT,), (DeploymentError,), "deployment.toml"),
    "host": File(
        lambda path: host._upstreams(host._read(path)),
        (HERE,),
        (SimulatorError,),
    ),
    "script": File(lambda path: orders.Script("button", StandStill(), orders.load_script(str(path))), (SCRIPT,), (ScriptError,)),
    "story": File(scenario.load, (STORY,), (ScriptError,)),
    "enrolment": File(lambda path: enrolment.load(path.parent), (json.dumps(MEMBERS).encode(),), (AgentError,), enrolment.NAME),
    "announcement": File(
        lambda path: enrolments.read(path, DOMAIN),
        (json.dumps(MEMBERS).encode(),),
        (server_errors.EnrolmentRefused, CoreError),
    ),
}
"""What reads a folder reads it under `name`."""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("settings")


@pytest.mark.parametrize("name", FILES)
def test_what_is_genuine_is_taken(name, place):
    file = FILES[name]
    for data in file.genuine:
        path = place / file.name
        path.write_bytes(data)
        file.read(path)


def taken_or_refused(file: File, place: Path, data: bytes) -> None:
    path = place / file.name
    path.write_bytes(data)
    try:
        file.read(path)
    except file.refuses as refusal:
        said = str(refusal)
    else:
        return
    # A sentence for each mistake, however long the mistake is.
    assert 0 < len(said) < 200_000


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=50)
@given(data=st.data())
def test_any_bytes_are_taken_or_refused_in_our_words(name, place, data):
    file = FILES[name]
    taken_or_refused(file, place, data.draw(bytes_like(*file.genuine)))


@pytest.mark.parametrize("name", ["enrolment", "announcement"])
@given(data=st.data())
def test_any_json_is_taken_or_refused_in_our_words(name, place, data):
    taken_or_refused(FILES[name], place, data.draw(json_bytes_like(MEMBERS)))


ODD_VALUES = [
    "9" * LONG,
    "0x" + "f" * LONG,
    "-1",
    "1e999",
    "nan",
    "true",
    '""',
    '"\\u0000"',
    '"a\\u0000b"',
    '"' + "x" * 10_000 + '"',
    "[]",
    "{}",
    "[" * 1_200 + "]" * 1_200,
    "{a=" * 1_200 + "1" + "}" * 1_200,
    "2026-02-28",
    "1979-05-27T07:32:00Z",
    "9999-12-31T23:59:60-23:59",
    "[1, 'a', {}]",
]


@pytest.mark.parametrize("name", ["agent", "server", "deployment", "over the defaults", "host", "script"])
@settings(max_examples=25)  # Python's own reader of TOML takes a tenth of a second for what is nested deep
@given(data=st.data())
def test_any_value_of_any_key_is_taken_or_refused_in_our_words(name, place, data):
    file = FILES[name]
    lines = file.genuine[0].decode().splitlines()
    keyed = [number for number, line in enumerate(lines) if " = " in line]
    for number in data.draw(st.sets(st.sampled_from(keyed), min_size=1, max_size=3)):
        key = lines[number].partition(" = ")[0]
        deeper = data.draw(st.sampled_from(["", ".a", ".a" * 1_200, "." + "x" * 300, '."\\u0000"']))
        lines[number] = f"{key}{deeper} = {data.draw(st.sampled_from(ODD_VALUES))}"
    taken_or_refused(file, place, "\n".join(lines).encode())
