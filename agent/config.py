"""The settings of a recorder: one TOML file, each key with its unit in its name, nothing accepted that is not known.

Rules:
- A key that is not known, a wrong type or a figure out of bounds refuses the whole file: an agent that starts with half
  of its settings would find out in the street. Every mistake is named at once with file, line, key, expected and got.
- Paths are relative to the settings file, so that a state folder can be moved.
- What has a default may be left out; `server.url`, `broker.host` and `board.camera` or `board.microphone` may not.

Which driver plays a role is the board's business (`hal.board`); this module only carries the dotted name and options.
"""

from __future__ import annotations

import tomllib
from datetime import timedelta, timezone
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from agent.config_errors import describe
from agent.errors import SettingsError

MAX_FILE_BYTES = 262_144
"""A settings file is a page of text; more is not one."""

MIB = 1_048_576
Text = Annotated[str, Field(min_length=1, max_length=255)]
HttpsUrl = Annotated[str, Field(pattern=r"^https://[^\s/]+/?$", max_length=255)]
TrackName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,15}$")]


def whole(value: Any) -> Any:
    """The value; ValueError where it is text that no path and no name can be."""
    if isinstance(value, str) and "\0" in value:
        raise ValueError("text without zero bytes is expected")
    return value


class Section(BaseModel):
    """A table of the file: unknown keys and loose types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @field_validator("*")
    @classmethod
    def _no_zero_bytes(cls, value: Any) -> Any:
        return whole(value)


class AgentSection(Section):
    """Where the device keeps what it is, and what it does after the power failed."""

    state: Text = "."
    resume_after_power_loss: bool = False
    check_packages: bool = True


class ServerSection(Section):
    """Where media go and where the handshake is made."""

    url: HttpsUrl
    timeout_s: int = Field(20, ge=1, le=600)


class BrokerSection(Section):
    """The MQTT broker; `version` 3.1.1 is for brokers that know no better."""

    host: Text
    port: int = Field(8883, ge=1, le=65_535)
    version: Literal["5.0", "3.1.1"] = "5.0"
    keepalive_s: int = Field(30, ge=5, le=600)
    session_expiry_s: int = Field(604_800, ge=0, le=31_536_000)


class TlsSection(Section):
    """The device's identity towards server and broker; never its evidence key."""

    ca: Text = "tls/ca.crt"
    certificate: Text = "tls/device.crt"
    key: Text = "tls/device.key"


class UplinkSection(Section):
    """How hard the network is used. `only_networks` names interfaces; empty means any; 0 bytes a second means no limit."""

    batches_in_flight: int = Field(4, ge=1, le=16)
    answer_within_s: int = Field(10, ge=1, le=600)
    health_every_s: int = Field(30, ge=1, le=3_600)
    reconnect_first_ms: int = Field(500, ge=10, le=60_000)
    reconnect_max_ms: int = Field(60_000, ge=100, le=600_000)
    upload_parallel: int = Field(2, ge=1, le=8)
    upload_request_bytes: int = Field(4 * MIB, ge=2 * MIB, le=8 * MIB)
    upload_gather_s: int = Field(5, ge=0, le=600)
    upload_bytes_per_s: int = Field(0, ge=0)
    only_networks: list[Annotated[str, Field(pattern=r"^[^\s/]{1,15}$")]] = []


class CaptureSection(Section):
    """What is recorded, and how it is cut."""

    track: TrackName = "front"
    pre_event_s: int = Field(30, ge=0, le=120)
    post_event_s: int = Field(0, ge=0, le=60)
    fragment_ms: int = Field(1_000, ge=500, le=4_000)
    silent_after_s: int = Field(10, ge=0, le=3_600)
    silent_spread_steps: int = Field(0, ge=0, le=1_000)


class OverlaySection(Section):
    """What is burnt into the picture beside the time: GA/T 947 has device numbers of 7 and officers' of 6 characters."""

    enabled: bool = True
    device_number: Annotated[str, Field(max_length=32)] = ""
    officer_number: Annotated[str, Field(max_length=32)] = ""
    text: Annotated[str, Field(max_length=120)] = ""
    utc_offset_minutes: int = Field(480, ge=-720, le=840)

    @property
    def zone(self) -> timezone:
        """The zone of the times that people see; evidence is in UTC."""
        return timezone(timedelta(minutes=self.utc_offset_minutes))


class ButtonsSection(Section):
    """Which gesture does what, as `<button>:<short|long|double>`."""

    start: Annotated[str, Field(pattern=r"^[a-z0-9-]+:(short|long|double)$")] = "record:short"
    stop: Annotated[str, Field(pattern=r"^[a-z0-9-]+:(short|long|double)$")] = "record:long"
    mark: Annotated[str, Field(pattern=r"^[a-z0-9-]+:(short|long|double)$")] = "mark:short"
    still: Annotated[str, Field(pattern=r"^([a-z0-9-]+:(short|long|double))?$")] = "mark:long"
    mark_label: Annotated[str, Field(min_length=1, max_length=200)] = "button"


class DutySection(Section):
    """How often the device says how right its clock is and how full its disk and battery are."""

    clock_recording_s: int = Field(600, ge=10, le=3_600)
    clock_idle_s: int = Field(3_600, ge=60, le=86_400)
    clock_step_ms: int = Field(500, ge=10, le=60_000)
    beacon_every_s: int = Field(3_600, ge=60, le=86_400)
    clock_wrong_ms: int = Field(2_000, ge=100, le=3_600_000)
    fix_every_ms: int = Field(1_000, ge=200, le=60_000)
    position_lost_s: int = Field(30, ge=0, le=3_600)
    position_max_kmh: int = Field(500, ge=10, le=40_000)
    battery_low_percent: int = Field(15, ge=0, le=100)
    battery_stop_percent: int = Field(3, ge=0, le=100)


class StorageSection(Section):
    """When local media go (never without the server's receipt) and when recording stops for want of space."""

    keep_days: int = Field(7, ge=0, le=3_650)
    reserve_bytes: int = Field(512 * MIB, ge=0)
    stop_below_bytes: int = Field(64 * MIB, ge=0)


class IndicatorSection(Section):
    """`discreet` keeps the lamp dark and the buzzer silent while recording; alarms are felt, not seen."""

    discreet: bool = False


class BoardDevice(BaseModel):
    """One role's driver by dotted name; every other key is an option of that driver and is judged by it."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    driver: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]

    @model_validator(mode="after")
    def _no_zero_bytes(self) -> BoardDevice:
        for value in self.options.values():
            whole(value)
        return self

    @property
    def options(self) -> dict[str, Any]:
        """What the driver is made with."""
        return dict(self.model_extra or {})


class BoardSection(Section):
    """Which driver plays which role; a role that is left out is not there, which is never a silent fallback."""

    camera: BoardDevice | None = None
    microphone: BoardDevice | None = None
    locator: BoardDevice | None = None
    climate: BoardDevice | None = None
    scanner: BoardDevice | None = None
    button: BoardDevice | None = None
    indicator: BoardDevice | None = None
    power: BoardDevice | None = None
    clock: BoardDevice | None = None


class Settings(Section):
    """The whole file; `path` is where it was read from."""

    agent: AgentSection = AgentSection()
    server: ServerSection
    broker: BrokerSection
    tls: TlsSection = TlsSection()
    uplink: UplinkSection = UplinkSection()
    capture: CaptureSection = CaptureSection()
    overlay: OverlaySection = OverlaySection()
    buttons: ButtonsSection = ButtonsSection()
    duty: DutySection = DutySection()
    storage: StorageSection = StorageSection()
    indicator: IndicatorSection = IndicatorSection()
    board: BoardSection = BoardSection()
    path: Path = Field(Path("settings.toml"), exclude=True)

    def resolve(self, name: str) -> Path:
        """A path of the file, relative to the folder that the file is in."""
        return (self.path.parent / name).resolve()

    @property
    def state(self) -> Path:
        """The device's state folder."""
        return self.resolve(self.agent.state)

    def board_tables(self) -> dict[str, dict[str, Any]]:
        """Role → its driver and options for `hal.board`; an option that begins with `./` or `../` is a path of this file."""
        return {role: {"driver": device.driver, **self._options(device)} for role, device in self.board if device is not None}

    def _options(self, device: BoardDevice) -> dict[str, Any]:
        return {name: self._option(value) for name, value in device.options.items()}

    def _option(self, value: Any) -> Any:
        return str(self.resolve(value)) if isinstance(value, str) and value.startswith(("./", "../")) else value


def load(path: Path) -> Settings:
    """Read and judge a settings file; SettingsError has one line for each mistake."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: expected a settings file, got {error.strerror}") from error
    if len(raw) > MAX_FILE_BYTES:
        raise SettingsError(f"{path}: expected at most {MAX_FILE_BYTES} bytes, got {len(raw)}")
    return parse(raw, path)


def parse(raw: bytes, path: Path) -> Settings:
    """Settings of a file's bytes; `path` is what errors name and what paths are relative to."""
    try:
        text = raw.decode("utf-8")
        members = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: expected UTF-8, got byte {raw[error.start]:#04x} at {error.start}") from error
    except (ValueError, RecursionError) as error:  # TOML's own errors are ValueErrors, and so are numbers of thousands of digits
        raise SettingsError(f"{path}: expected TOML (toml.io), got: {error}") from error
    if "path" in members:
        raise SettingsError(f"{path}, path: there is no such setting")
    try:
        return Settings.model_validate({**members, "path": path.absolute()})
    except ValidationError as error:
        raise SettingsError(describe(error, text, path, Settings)) from error
