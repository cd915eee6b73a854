"""The server's settings: one TOML file in the data folder.

Rules:
- Every setting has a default that works, save the domain, which every origin and both logs are named by.
- Paths may be relative to the settings file's folder, which is the data folder.
- Units stand in the name (`_s`, `_ms`, `_bytes`). An unknown key, a wrong type or unit is an error that says where it stands.
- While there is no login, the console listens on this machine only.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from agent.core import errors as core_errors
from agent.core import note
from server.errors import SettingsError

MIB = 1 << 20
Port = Annotated[int, Field(ge=0, le=65535)]


class Section(BaseModel):
    """A table of the settings; what it does not know is an error, and numbers are numbers, not text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @field_validator("*")
    @classmethod
    def _no_zero_bytes(cls, value: Any) -> Any:
        if isinstance(value, str) and "\0" in value:
            raise ValueError("text without zero bytes is expected")
        return value


class Devices(Section):
    """Where devices come in over HTTPS, with their certificates. Port 0 takes a free one, an empty `crl` means no list."""

    host: str = "127.0.0.1"
    port: Port = 0
    certificate: str = "tls/server.crt"
    key: str = "tls/server.key"
    ca: str = "tls/ca.crt"
    crl: str = ""


class Console(Section):
    """Where people come in."""

    host: str = "127.0.0.1"
    port: Port = 0

    @field_validator("host")
    @classmethod
    def _loopback(cls, value: str) -> str:
        name = "127.0.0.1" if value == "localhost" else value
        try:
            safe = ipaddress.ip_address(name).is_loopback
        except ValueError:
            safe = False
        if not safe:
            raise ValueError("a loopback address (127.0.0.1 or ::1): there is no login yet, so nobody else may reach the console")
        return value


class Broker(Section):
    """The MQTT broker, reached with mutual TLS."""

    host: str = "127.0.0.1"
    port: Port = 8883
    certificate: str = "tls/server.crt"
    key: str = "tls/server.key"
    ca: str = "tls/ca.crt"
    client_id: str = "zhilu-server"
    keepalive_s: int = Field(30, ge=5, le=3600)


class Ingest(Section):
    """How batches are admitted: how long a commit waits for company, and an early batch for the one before it."""

    commit_ms: int = Field(3, ge=0, le=1000)
    park_ms: int = Field(250, ge=0, le=60_000)
    queue_bytes: int = Field(64 * MIB, ge=MIB)


class Ledger(Section):
    """How often the ledger anchors what was cosigned."""

    anchor_s: int = Field(60, ge=1, le=3600)


class Media(Section):
    """Limits of the media intake: one request, one fragment, the space that is never filled, and how long a sender may be silent.

    `idle_s`: at 1 kbit/s a TLS record takes more than two minutes.
    """

    request_bytes: int = Field(64 * MIB, ge=MIB)
    fragment_bytes: int = Field(16 * MIB, ge=65536)
    reserve_bytes: int = Field(256 * MIB, ge=0)
    idle_s: int = Field(180, ge=1, le=3600)


class Settings(Section):
    """Everything; `folder` is the data folder, filled in by `load`."""

    domain: str
    devices: Devices = Devices()
    console: Console = Console()
    broker: Broker = Broker()
    ingest: Ingest = Ingest()
    ledger: Ledger = Ledger()
    media: Media = Media()
    folder: Path = Field(default=Path(), exclude=True)

    @field_validator("domain")
    @classmethod
    def _key_name(cls, value: str) -> str:
        try:
            return note.check_name(value)
        except core_errors.NoteError as e:
            raise ValueError("a domain name without spaces or plus") from e

    @property
    def ledger_origin(self) -> str:
        """Origin of the ledger and name of its key."""
        return self.domain + "/ledger"

    @property
    def witness_name(self) -> str:
        """Name of the witness key."""
        return self.domain + "/witness"

    def path(self, name: str) -> Path:
        """A path of the settings, taken from the data folder."""
        return self.folder / name


def load(path: Path) -> Settings:
    """Read and check a settings file; SettingsError says of each mistake where it stands and what was expected."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as e:
        raise SettingsError(f"{path}: can't be read ({e.strerror}); make a deployment first") from e
    except UnicodeDecodeError as e:
        raise SettingsError(f"{path}: expected UTF-8, got byte {e.object[e.start]:#04x} at {e.start}") from e
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as e:  # TOML's own errors are ValueErrors, and so are numbers of thousands of digits
        raise SettingsError(f"{path}: expected TOML, got: {e}") from e
    try:
        if "folder" in values:
            raise SettingsError(f"{path}, line {_line(text, ('folder',))}, folder: there is no such setting")
        settings = Settings(**values)
    except ValidationError as e:
        found = sorted((_line(text, tuple(str(p) for p in one["loc"])), _sentence(dict(one))) for one in e.errors(include_url=False))
        raise SettingsError("\n".join(f"{path}, line {line}, {what}" for line, what in found)) from e
    return settings.model_copy(update={"folder": path.resolve().parent})


# --------------------------------------------------------------------------- where and what is wrong

_HEADING = re.compile(r"^\s*\[([^\]]+)\]")
_KEY = re.compile(r"^\s*([A-Za-z0-9_.\-\"']+)\s*=")


def _line(text: str, key: tuple[str, ...]) -> int:
    """Line of a key, else of its table, else 1: `tomllib` keeps none, so it is looked for in the text."""
    places: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if heading := _HEADING.match(line):
            table = tuple(part.strip().strip("\"'") for part in heading[1].split("."))
            places.setdefault(table, number)
        elif found := _KEY.match(line):
            places.setdefault((*table, *(part.strip("\"'") for part in found[1].split("."))), number)
    while key and key not in places:
        key = key[:-1]
    return places.get(key, 1)


_EXPECTED = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "string_type": "text in quotes",
    "model_type": "a table",
    "missing": "a value",
}


def _sentence(one: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in one["loc"])
    if one["type"] == "extra_forbidden":
        return f"{key}: there is no such setting"
    if one["type"] == "missing":
        return f"{key}: expected a value, got none; add it"
    expected = _EXPECTED.get(one["type"], one["msg"].removeprefix("Value error, ").removeprefix("Input should be "))
    try:
        got = repr(str(one["input"])[:60])
    except (ValueError, RecursionError):  # thousands of digits, or nested deeper than the stack
        got = f"{type(one['input']).__name__} beyond all measure"
    return f"{key}: expected {expected}, got {got}"
