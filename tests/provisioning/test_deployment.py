"""What a deployment and a device find in their folders, and that agent, server and core can use it."""

from __future__ import annotations

import hashlib
import json
import stat
import threading
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import agent.config
import server.config
from agent.core import note
from provisioning import deployment, device, keys
from provisioning.deployment import Ports
from provisioning.errors import BadName, DeploymentError, EnrolmentError

DOMAIN = "evidence.example.gov"
PORTS = Ports(broker=18883, devices=18443, console=18080)


@pytest.fixture
def made(tmp_path):
    return deployment.create(tmp_path / "deployment", DOMAIN, ports=PORTS)


def test_the_server_reads_its_settings(made):
    settings = server.config.load(made.server_settings)
    assert settings.domain == DOMAIN
    assert (settings.devices.port, settings.console.port, settings.broker.port) == (18443, 18080, 18883)
    for section in (settings.devices, settings.broker):
        assert all(settings.path(name).is_file() for name in (section.certificate, section.key, section.ca))


def test_the_agent_reads_its_settings(made, tmp_path):
    over = {"board": {"camera": {"driver": "simulators.camera:FileCamera", "loop": True}}, "overlay": {"officer_number": "012345"}}
    made_device = device.enrol(made, "DSJ-0012345", tmp_path / "device", over)
    settings = agent.config.load(made_device.settings)
    assert settings.server.url == "https://localhost:18443"
    assert (settings.broker.host, settings.broker.port) == ("localhost", 18883)
    assert (settings.overlay.device_number, settings.overlay.officer_number) == ("DSJ-0012345", "012345")
    assert settings.board_tables() == {"camera": {"driver": "simulators.camera:FileCamera", "loop": True}}
    assert settings.state == made_device.folder
    assert all(settings.resolve(name).is_file() for name in (settings.tls.ca, settings.tls.certificate, settings.tls.key))


def test_what_the_device_and_the_server_are_told_is_the_same_and_true(made, tmp_path):
    enrolment = device.enrol(made, "DSJ-0012345", tmp_path / "device")
    told_device = json.loads((enrolment.folder / "enrolment.json").read_text())
    told_server = json.loads((made.server_folder / "enrolments" / "DSJ-0012345-1.json").read_text())
    certificate = x509.load_pem_x509_certificate((enrolment.folder / "evidence" / "evidence.crt").read_bytes())
    key = keys.load(enrolment.folder / "evidence" / "evidence.key")
    assert told_device["origin"] == told_server["origin"] == f"{DOMAIN}/DSJ-0012345/1"
    assert told_device["vkey"] == told_server["vkey"] == keys.vkey(enrolment.origin, key)
    assert certificate.public_key() == key.public_key()
    der = certificate.public_bytes(serialization.Encoding.DER)
    assert told_device["certificate"] == told_server["certificate"] == hashlib.sha256(der).hexdigest()
    assert told_server["certificate_pem"].encode() == (enrolment.folder / "evidence" / "evidence.crt").read_bytes()
    assert (told_device["device"], told_device["domain"], told_device["n"]) == ("DSJ-0012345", DOMAIN, 1)
    assert (told_server["device"], told_server["n"]) == ("DSJ-0012345", 1)


def test_what_the_servers_keys_sign_the_device_can_check(made, tmp_path):
    enrolment = device.enrol(made, "DSJ-0012345", tmp_path / "device")
    told = json.loads((enrolment.folder / "enrolment.json").read_text())["keys"]
    assert set(told) == {"ledger", "witness", "orders"}
    folder = made.server_folder / "keys"
    ledger, witness = keys.load(folder / "ledger.key"), keys.load(folder / "witness.key")
    body = note.checkpoint(f"{DOMAIN}/ledger", 1, bytes(32))
    signed = note.sign(body, f"{DOMAIN}/ledger", note.ED25519, keys.raw(ledger.public_key()), ledger.sign)
    cosigned = note.add(signed, note.cosign(signed, f"{DOMAIN}/witness", keys.raw(witness.public_key()), witness.sign, 1_700_000_000))
    _, signatures = note.open_note(cosigned, [note.verifier(told["ledger"]), note.verifier(told["witness"])])
    assert [(one.name, one.seconds) for one in signatures] == [(f"{DOMAIN}/ledger", None), (f"{DOMAIN}/witness", 1_700_000_000)]
    assert note.verifier(told["orders"]).name == f"{DOMAIN}/orders"


def test_experts_are_given_ledger_and_witness(made):
    names = [note.verifier(line).name for line in made.keys_file.read_text().splitlines()]
    assert names == [f"{DOMAIN}/ledger", f"{DOMAIN}/witness"]


def test_every_key_is_another_and_only_its_owner_reads_it(made, tmp_path):
    device.enrol(made, "DSJ-0012345", tmp_path / "device")
    found = [*made.folder.rglob("*.key"), *(tmp_path / "device").rglob("*.key")]
    assert {path.name for path in found} == {
        *("ca.key", "broker.key", "server.key", "mqtt.key", "ledger.key", "witness.key", "orders.key", "device.key", "evidence.key")
    }
    assert len({path.read_bytes() for path in found}) == len(found)
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}


def test_nothing_is_left_lying_beside(made, tmp_path):
    device.enrol(made, "DSJ-0012345", tmp_path / "device")
    assert not list(tmp_path.rglob(".*"))


def test_a_deployment_is_found_again(made):
    assert deployment.load(made.folder) == made


def test_other_ports_reach_every_settings_file(made, tmp_path):
    enrolment = device.enrol(made, "DSJ-0012345", tmp_path / "device")
    moved = made.with_ports(replace(PORTS, broker=28883, devices=28443))
    device.write_settings(moved, "DSJ-0012345", enrolment.folder)
    assert deployment.load(made.folder).ports.broker == 28883
    assert server.config.load(made.server_settings).broker.port == 28883
    assert "listener 28883 127.0.0.1\n" in (made.broker_folder / "mosquitto.conf").read_text()
    settings = agent.config.load(enrolment.settings)
    assert (settings.broker.port, settings.server.url) == (28883, "https://localhost:28443")


def test_a_second_deployment_in_the_same_folder_changes_nothing(made):
    before = made.vkeys()
    with pytest.raises(DeploymentError, match="there is a deployment already"):
        deployment.create(made.folder, DOMAIN)
    assert made.vkeys() == before


def test_a_folder_with_something_in_it_is_not_taken(made, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(DeploymentError, match="expected an empty folder"):
        deployment.create(tmp_path / "photos", DOMAIN)
    with pytest.raises(EnrolmentError, match="expected an empty folder"):
        device.enrol(made, "DSJ-0012345", tmp_path / "photos")
    assert not list((made.server_folder / "enrolments").iterdir())


def test_no_deployment_says_how_to_make_one(tmp_path):
    with pytest.raises(DeploymentError, match=r"deployment\.toml: expected a deployment, got: No such file.*zhilu provision ca"):
        deployment.load(tmp_path)


@pytest.mark.parametrize("text", ["domain = 1", "domain =", 'domain = "a"\nhost = "b"\nlisten = "c"\nports = {mqtt = 1}'])
def test_a_bent_deployment_file_is_refused(tmp_path, text):
    (tmp_path / "deployment.toml").write_text(text)
    with pytest.raises(DeploymentError, match=r"expected domain, host, listen and \[ports\], got: "):
        deployment.load(tmp_path)


@pytest.mark.parametrize("domain", ["", "two words", "plus+sign", "with/slash", "x" * 65, "例子"])
def test_a_domain_that_can_name_no_key_is_refused(tmp_path, domain):
    with pytest.raises(BadName, match="domain"):
        deployment.create(tmp_path / "new", domain)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("listen", ["", "recorders.example.gov", "0.0.0.0:8443", "256.0.0.1"])
def test_what_is_no_address_to_listen_at_is_refused(tmp_path, listen):
    with pytest.raises(BadName, match=r"listen: expected an address of this machine such as 0\.0\.0\.0"):
        deployment.create(tmp_path / "new", DOMAIN, listen=listen)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["", "../x", "a b", "a/b", "+", "#", "x" * 33, "zhilu-server", "Zhilu-9", "执法-1"])
def test_a_device_id_that_can_be_none_is_refused(made, tmp_path, name):
    with pytest.raises(BadName, match="device"):
        device.enrol(made, name, tmp_path / "device")
    assert not (tmp_path / "device").exists()


def test_a_folder_is_enrolled_once(made, tmp_path):
    device.enrol(made, "DSJ-0012345", tmp_path / "device")
    with pytest.raises(EnrolmentError, match="a device is enrolled here already"):
        device.enrol(made, "DSJ-0012345", tmp_path / "device")


def test_each_enrolment_of_an_id_has_the_next_number(made, tmp_path):
    assert [device.enrol(made, "DSJ-1", tmp_path / f"a{index}").n for index in range(3)] == [1, 2, 3]
    assert device.enrol(made, "DSJ", tmp_path / "b").n == 1
    assert device.enrol(made, "DSJ-1-2", tmp_path / "c").n == 1, "an id that looks like another's enrolment"


def test_enrolments_at_the_same_moment_get_different_numbers(made, tmp_path):
    numbers: list[int] = []
    threads = [
        threading.Thread(target=lambda index=index: numbers.append(device.enrol(made, "DSJ-1", tmp_path / f"at-once-{index}").n))
        for index in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]
