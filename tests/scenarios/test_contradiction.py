"""Somebody has copied the evidence key and was first: the server holds other lines under the device's name.

The device keeps its own journal as it is, goes on recording in the next one under the same key, and says so; nothing is lost, and
an administrator decides (docs/evidence-format.md, section 4, handshake).
"""

from __future__ import annotations

import pytest

from agent.core import wire
from provisioning import device as devices
from provisioning.mosquitto import Mosquitto
from tests.agent.running import Agent, journal, lines, settings, signals, wait_for
from tests.provisioning.clients import Identity, connect
from tests.scenarios.world import DEVICE, deploy
from tests.server.process import ServerProcess
from tests.server.virtual import Device


@pytest.mark.timeout(600)
def test_recording_goes_on_in_the_next_journal(tmp_path):
    deployment = deploy(tmp_path)
    press = tmp_path / "press.toml"
    press.write_text(
        "".join(f'[[step]]\nat = {at}\nto = "button"\ndo = "edge"\nbutton = "record"\ndown = {down}\n' for at, down in PRESSES)
    )
    folder = tmp_path / DEVICE
    made = devices.enrol(deployment, DEVICE, folder, settings(folder, board={"button": {"script": str(press)}}))
    thief = Device.enrolled(made.folder)
    thief.line("enrol", origin=made.origin, vkey=made.vkey, certificate=made.certificate)
    thief.line("order", number=1, name="locate", result="done")
    stolen = wire.encode_batch(0, thief.lines, thief.commit())
    with Mosquitto(deployment):
        server = ServerProcess(deployment)
        client = connect(Identity.of_device(made.folder), deployment.ports.broker, DEVICE)
        client.mqtt.publish(wire.topic(DEVICE, "journal"), stolen, qos=1)
        path = f"/api/v1/devices/{DEVICE}/journals"
        wait_for(lambda: b"cosigned" in server.console.get("/metrics").content and _cosigned(server) >= 1, f"the thief's lines: {path}")
        client.mqtt.disconnect()
        client.mqtt.loop_stop()
        agent = Agent(made.folder)
        try:
            agent.wait_for(lambda: journal(made.folder, 2), "journal 2")
            agent.wait_for(lambda: lines(made.folder, "fragment", 2), "a recording in journal 2")
            first = journal(made.folder, 2)[0]
            assert (first["kind"], first["origin"]) == ("enrol", f"{deployment.domain}/{DEVICE}/2")
            assert first["previous"]["origin"] == made.origin
            assert first["previous"]["size"] == len(journal(made.folder, 1))
            assert any(one["lamp"] == "alarm" for one in signals(made.folder))
            assert agent.stop() == 0
        finally:
            agent.kill()
            server.stop()


PRESSES = ((4.0, "true"), (4.1, "false"))


def _cosigned(server: ServerProcess) -> float:
    rows = server.console.get("/metrics").text.splitlines()
    return max((float(row.rsplit(" ", 1)[1]) for row in rows if row.startswith("zhilu_cosigned_total")), default=0.0)
