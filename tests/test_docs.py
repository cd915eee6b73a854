"""The documentation says what the code does: topics, limits, commands, files, links."""

import re
from pathlib import Path

import pytest
import yaml

from agent import config
from agent.core import lines, wire
from provisioning import deployment, device, toml

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
STAGES = ("capture", "journal", "buffer", "uplink", "ingest", "ledger", "store", "console")
FLOW = "press → agent/capture → agent/journal → agent/buffer → agent/uplink ⇢ server/ingest → server/ledger → server/store → server/console"
ASYNCAPI = yaml.safe_load((ROOT / "docs/asyncapi.yaml").read_text())


def test_every_channel_is_a_topic_of_ours():
    addresses = {name: channel["address"] for name, channel in ASYNCAPI["channels"].items()}
    assert addresses.pop("ledger") == wire.LEDGER_TOPIC
    for leaf, address in addresses.items():
        assert address == f"zhilu/{{device}}/{leaf}"
        assert wire.parse_topic(address.replace("{device}", "DSJ-1")) == ("DSJ-1", leaf)


def test_limits_are_those_of_the_code():
    batch = ASYNCAPI["components"]["messages"]["batch"]
    assert batch["payload"]["maxLength"] == wire.MAX_BATCH_BYTES
    assert f"{wire.MAX_BATCH_BYTES} bytes and {wire.MAX_BATCH_LINES} lines; a line has 1 to {lines.MAX_LINE} bytes" in batch["description"]


def test_every_operation_has_a_channel_and_every_channel_an_operation():
    used = {operation["channel"]["$ref"].rpartition("/")[2] for operation in ASYNCAPI["operations"].values()}
    assert used == set(ASYNCAPI["channels"])


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith(("http:", "https:")):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", ["operate.md", "operate.zh-CN.md"])
def test_the_settings_that_administrators_are_shown_are_those_of_a_device(page, tmp_path):
    """Parsed as the agent does, together with what provisioning writes."""
    shown = re.findall(r"(?m)^    \[[^\n]*\n(?:    [^\n]*\n|\n(?=    ))+", (ROOT / "docs" / page).read_text())
    assert len(shown) == 1
    over = tmp_path / "camera.toml"
    over.write_text(shown[0].replace("\n    ", "\n")[4:])
    made = deployment.create(tmp_path / "deployment", "evidence.example.gov")
    settings = config.load(device.enrol(made, "DSJ-0012345", tmp_path / "recorder", toml.read(over)).settings)
    assert set(settings.board_tables()) == {"camera", "microphone", "button", "indicator"}
    assert settings.overlay.officer_number == "012345"


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_readme_shows_the_flow_and_the_two_commands(page):
    said = (ROOT / page).read_text()
    assert FLOW in said
    assert "make demo" in said
    assert "make test" in said


def test_every_stage_says_which_it_is():
    for number, stage in enumerate(STAGES, 1):
        folder = "agent" if number <= 4 else "server"
        first = (ROOT / folder / stage / "__init__.py").read_text().splitlines()[0]
        assert first.startswith(f'"""Stage {number}, {stage}'), first
