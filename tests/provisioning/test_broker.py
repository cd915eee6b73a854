"""A real mosquitto with our settings: who gets in, who may say and hear what."""

from __future__ import annotations

import ssl
import time

import pytest

from provisioning import broker, deployment, device
from provisioning.deployment import Ports
from provisioning.errors import BrokerFailed
from provisioning.mosquitto import Mosquitto
from tests.provisioning.clients import ACCEPTED, PATIENCE, Identity, handshake

CONNACK = 0x20
ONE, TWO = "DSJ-0000001", "DSJ-0000002"


def refused(identity: Identity, port: int) -> bool:
    try:
        handshake(identity, port)
    except (ssl.SSLError, ConnectionError):
        return True
    return False


def refused_at_last(identity: Identity, port: int) -> bool:
    """Try until the broker has taken notice of its signal."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if refused(identity, port):
            return True
    return False


@pytest.fixture
def server(client, made):
    return client(Identity.of_server(made))


@pytest.mark.parametrize("leaf", broker.DEVICE_WRITES)
def test_a_device_writes_its_own_topics_and_the_server_hears_it(client, folders, server, leaf):
    server.subscribe(f"$share/ingest/zhilu/+/{leaf}")
    answer = client(Identity.of_device(folders[ONE])).publish(f"zhilu/{ONE}/{leaf}", b"said")
    assert answer == "Success"
    server.until(lambda: (f"zhilu/{ONE}/{leaf}", b"said") in server.messages)


@pytest.mark.parametrize(
    "topic",
    [
        f"zhilu/{TWO}/journal",
        f"zhilu/{TWO}/status",
        f"zhilu/{ONE}/witness",
        f"zhilu/{ONE}/receipt",
        f"zhilu/{ONE}/command",
        f"zhilu/{ONE}/desired",
        f"zhilu/{ONE}/journal/more",
        "zhilu/ledger",
        "zhilu",
        "somewhere/else",
        "$SYS/broker/version",
    ],
)
def test_a_device_writes_nothing_else(client, folders, server, topic):
    server.subscribe("zhilu/#")
    one = client(Identity.of_device(folders[ONE]))
    assert one.publish(topic, b"forged", retain=True) == "Not authorized"
    # Debian's mosquitto also ends the session of whom it refused: what comes after is said in a new one.
    assert client(Identity.of_device(folders[ONE])).publish(f"zhilu/{ONE}/health", b"after") == "Success"
    server.until(lambda: (f"zhilu/{ONE}/health", b"after") in server.messages)
    assert b"forged" not in [payload for _, payload in server.messages]


def test_a_device_hears_its_own_topics_and_no_other(client, folders, server):
    """Mosquitto grants any subscription; what counts is what is delivered. The last message proves that the others had their chance."""
    one = client(Identity.of_device(folders[ONE]))
    one.subscribe("#", "zhilu/#", f"zhilu/{TWO}/command", f"$share/ingest/zhilu/{TWO}/journal")
    for topic in (f"zhilu/{TWO}/command", f"zhilu/{TWO}/witness", f"zhilu/{TWO}/journal", f"zhilu/{ONE}/journal", f"zhilu/{ONE}/status"):
        assert server.publish(topic, b"not for you") in ACCEPTED
    for leaf in broker.DEVICE_READS:
        assert server.publish(f"zhilu/{ONE}/{leaf}", b"for you") == "Success"
    server.publish("zhilu/ledger", b"beacon")
    one.until(lambda: ("zhilu/ledger", b"beacon") in one.messages)
    heard = {topic for topic, _ in one.messages}
    assert heard == {"zhilu/ledger", *(f"zhilu/{ONE}/{leaf}" for leaf in broker.DEVICE_READS)}


def test_what_is_retained_for_another_is_not_handed_out(client, folders, server):
    server.publish(f"zhilu/{TWO}/desired", b"secret", retain=True)
    server.publish("zhilu/ledger", b"beacon", retain=True)
    one = client(Identity.of_device(folders[ONE]))
    one.subscribe(f"zhilu/{TWO}/desired", "zhilu/+/desired", "zhilu/ledger")
    one.until(lambda: ("zhilu/ledger", b"beacon") in one.messages)
    assert b"secret" not in [payload for _, payload in one.messages]


def test_nobody_takes_over_another_devices_session(client, folders):
    one = client(Identity.of_device(folders[ONE]))
    two = client(Identity.of_device(folders[TWO]), client_id=ONE)
    assert two.connects == ["Success"]
    two.subscribe(f"zhilu/{ONE}/command")
    assert one.publish(f"zhilu/{ONE}/health") in ACCEPTED
    assert not one.disconnects
    # The same device again does take over its own session, under whatever client id.
    again = client(Identity.of_device(folders[ONE]), client_id="anything")
    one.until(lambda: bool(one.disconnects))
    assert again.connects == ["Success"]


def test_orders_wait_for_a_device_that_is_away(client, folders, server):
    one = client(Identity.of_device(folders[ONE]))
    one.subscribe(f"zhilu/{ONE}/command")
    one.mqtt.disconnect()
    one.until(lambda: bool(one.disconnects))
    numbers = [b"%d" % number for number in range(1_500)]
    for number in numbers:
        server.mqtt.publish(f"zhilu/{ONE}/command", number, qos=1)
    server.publish(f"zhilu/{ONE}/command", b"last")
    back = client(Identity.of_device(folders[ONE]), resume=True)
    back.until(lambda: (f"zhilu/{ONE}/command", b"last") in back.messages)
    waited = [payload for topic, payload in back.messages if topic.endswith("/command")]
    assert waited == [*numbers, b"last"]


def test_a_packet_larger_than_any_of_ours_ends_the_session(client, folders, server):
    server.subscribe(f"zhilu/{ONE}/journal")
    one = client(Identity.of_device(folders[ONE]))
    one.mqtt.publish(f"zhilu/{ONE}/journal", bytes(broker.MAX_PACKET_BYTES), qos=0)
    one.until(lambda: bool(one.disconnects))
    client(Identity.of_device(folders[ONE])).publish(f"zhilu/{ONE}/journal", b"after")
    server.until(lambda: (f"zhilu/{ONE}/journal", b"after") in server.messages)
    assert not any(len(payload) > 1_000 for _, payload in server.messages)


def test_without_a_certificate_nobody_gets_in(made, folders):
    bare = ssl.create_default_context(cafile=Identity.of_device(folders[ONE]).ca)

    class Nobody(Identity):
        def context(self) -> ssl.SSLContext:
            return bare

    assert refused(Nobody(folders[ONE], folders[ONE], folders[ONE]), made.ports.broker)


def test_a_certificate_of_another_authority_is_refused(made, folders, tmp_path):
    other = deployment.create(tmp_path / "other", "evidence.example.gov", ports=Ports(1, 2, 3))
    stranger = device.enrol(other, ONE, tmp_path / "stranger").folder
    forged = Identity(stranger / "tls" / "device.crt", stranger / "tls" / "device.key", folders[ONE] / "tls" / "ca.crt")
    assert handshake(Identity.of_device(folders[ONE]), made.ports.broker)[0] == CONNACK
    assert refused(forged, made.ports.broker)


def test_an_evidence_key_opens_no_session(made, folders):
    evidence = folders[ONE] / "evidence"
    assert refused(Identity(evidence / "evidence.crt", evidence / "evidence.key", folders[ONE] / "tls" / "ca.crt"), made.ports.broker)


def test_a_servers_certificate_is_no_clients(made, folders):
    tls = made.server_folder / "tls"
    assert refused(Identity(tls / "server.crt", tls / "server.key", tls / "ca.crt"), made.ports.broker)


def test_a_revoked_device_is_refused_and_the_others_are_not(tmp_path, free_port):
    made = deployment.create(tmp_path / "deployment", "evidence.example.gov", ports=Ports(free_port(), 1, 2))
    lost = Identity.of_device(device.enrol(made, "lost", tmp_path / "lost").folder)
    kept = Identity.of_device(device.enrol(made, "kept", tmp_path / "kept").folder)
    with Mosquitto(made) as running:
        assert handshake(lost, made.ports.broker)[0] == CONNACK
        assert made.revoke("lost") == 2, "its TLS and its evidence certificate"
        assert made.revoke("lost") == 0
        running.reload()
        assert refused_at_last(lost, made.ports.broker)
        assert handshake(kept, made.ports.broker)[0] == CONNACK
    with Mosquitto(made):
        assert refused(lost, made.ports.broker)
        assert handshake(kept, made.ports.broker)[0] == CONNACK


def test_a_port_that_is_taken_is_said_in_one_line(made, tmp_path):
    second = deployment.create(tmp_path / "second", "evidence.example.gov", ports=made.ports)
    with pytest.raises(BrokerFailed, match=f"before it listened on port {made.ports.broker}: .*Address already in use"):
        Mosquitto(second)
