"""Batches of 200 devices through a real broker and a real server, MQTT in to cosignature out, durable.

What counts is batches per second of the server's CPU (one core's worth), against how many Ed25519 verifications one core does: the
cost of one is sampled while the server works, because a core slows down when its neighbour works. All 200 record: their lines are
fragments and positions, and what the server does with them behind the cosignature, reading them into its catalogue, counts too.

The load comes from one connection whose certificate the benchmark's own broker lets write for every device; nothing else is
different from a deployment.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import sqlite3
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.measure import Row, cpu_of, workplace
from provisioning import deployment
from provisioning.deployment import Deployment, Ports
from provisioning.mosquitto import Mosquitto
from tests.provisioning.clients import Identity
from tests.server.process import ServerProcess
from tests.server.virtual import DOMAIN, Device

DEVICES = 200
LINES = 5
WINDOW = 4
PATIENCE_S = 300
SAMPLE = 20
SAMPLES_EVERY_S = 0.2
"""Verifications of a sample: some 3 ms, a hundredth of the time."""
LOAD_USER = "zhilu-benchmark"


class Load:
    """All devices over one connection: each keeps a few batches on their way and counts what comes back cosigned."""

    def __init__(self, identity: Identity, port: int, batches: dict[str, list[tuple[int, bytes]]]) -> None:
        self.batches = batches
        self.sent = dict.fromkeys(batches, 0)
        self.cosigned = dict.fromkeys(batches, 0)
        self.left = sum(len(some) for some in batches.values())
        self.done = threading.Event()
        self.ready = threading.Event()
        self.mqtt = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self.mqtt.max_inflight_messages_set(DEVICES * WINDOW)
        self.mqtt.tls_set_context(identity.context())
        self.mqtt.on_connect = lambda client, *_: client.subscribe("zhilu/+/witness", 1)
        self.mqtt.on_subscribe = lambda *_: self.ready.set()
        self.mqtt.on_message = self._heard
        self.mqtt.connect("127.0.0.1", port)
        self.mqtt.loop_start()
        assert self.ready.wait(PATIENCE_S)

    def begin(self) -> None:
        """Send each device's first batches."""
        for device in self.batches:
            self._more(device)

    def _more(self, device: str) -> None:
        some = self.batches[device]
        while self.sent[device] < min(len(some), self.cosigned[device] + WINDOW):
            self.mqtt.publish(f"zhilu/{device}/journal", some[self.sent[device]][1], 1)
            self.sent[device] += 1

    def _heard(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        device = message.topic.split("/")[1]
        size = int(message.payload.split(b"\n", 2)[1])
        some, at = self.batches[device], self.cosigned[device]
        while at < len(some) and some[at][0] <= size:
            at += 1
        self.left -= at - self.cosigned[device]
        self.cosigned[device] = at
        if self.left == 0:
            self.done.set()
        else:
            self._more(device)


def _devices(rounds: int) -> tuple[list[Device], dict[str, list[tuple[int, bytes]]], int]:
    """Journals, their batches with the sizes at which they end, and how many fragments they name."""
    made, batches, fragments = [], {}, 0
    for number in range(DEVICES):
        device = Device(f"DSJ-{number:07}", seed=number)
        fragments += _record(device, rounds * LINES)
        made.append(device)
        batches[device.device] = [(first + LINES, device.batch(first, first + LINES)) for first in range(0, rounds * LINES, LINES)]
    return made, batches, fragments


def _record(device: Device, count: int) -> int:
    """So many lines of a recording that goes on, with a checkpoint every LINES; how many of them are fragments."""
    recording = device.start()
    device.track(recording)
    while device.size < count:
        device.fix(recording) if device.size % 2 else device.fragment(recording, b"\x00")
        if device.size % LINES == 0:
            device.commit()
    return len(recording.tracks["front"])


def _in_catalogue(made: Deployment) -> int:
    """Fragments that the server has read into its catalogue, asked behind its back: it shall not work for the answer."""
    with contextlib.closing(sqlite3.connect(f"file:{made.server_folder / 'catalogue.sqlite'}?mode=ro", uri=True)) as catalogue:
        return int(catalogue.execute("SELECT count(*) FROM fragment").fetchone()[0])


class Verifications(threading.Thread):
    """What one Ed25519 verification costs, sampled a hundredth of the time until `per_s` is asked for."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._ended = threading.Event()
        self._count, self._cpu_s = 0, 0.0
        self.start()

    def run(self) -> None:
        key = Ed25519PrivateKey.generate()
        public, message = key.public_key(), random.randbytes(160)
        signature = key.sign(message)
        while not self._ended.wait(SAMPLES_EVERY_S):
            before = time.thread_time()
            for _ in range(SAMPLE):
                public.verify(signature, message)
            self._cpu_s += time.thread_time() - before
            self._count += SAMPLE

    def per_s(self) -> float:
        """How many a second of one core's time; ends the sampling."""
        self._ended.set()
        self.join()
        return self._count / self._cpu_s


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _deployment(folder: Path) -> tuple[Deployment, Identity]:
    made = deployment.create(folder, DOMAIN, ["localhost", "127.0.0.1"], ports=Ports(_free_port(), 0, 0))
    issued = made.authority.client(LOAD_USER)
    for name, data in (("load.crt", issued.certificate), ("load.key", issued.key)):
        (folder / name).write_bytes(data)
    acl = made.broker_folder / "acl.txt"
    acl.write_text(acl.read_text() + f"\nuser {LOAD_USER}\ntopic readwrite zhilu/#\n")
    return made, Identity(folder / "load.crt", folder / "load.key", made.broker_folder / "ca.crt")


def _turn(rounds: int) -> tuple[float, float, float]:
    """Per second: batches of the server's CPU, batches of wall time, verifications of one core's CPU."""
    with workplace() as folder:
        made, identity = _deployment(folder / "deployment")
        devices, batches, fragments = _devices(rounds)
        for device in devices:
            (made.server_folder / "enrolments" / f"{device.device}-1.json").write_text(json.dumps(device.enrolment))
        with Mosquitto(made):
            server = ServerProcess(made)
            try:
                load = Load(identity, made.ports.broker, batches)
                verifications = Verifications()
                cpu, wall = cpu_of(server.process.pid), time.perf_counter()
                load.begin()
                assert load.done.wait(PATIENCE_S), f"{load.left} batches were never cosigned; {server.said()[-2000:]}"
                wall = time.perf_counter() - wall
                while _in_catalogue(made) < fragments:
                    time.sleep(0.1)
                cpu = cpu_of(server.process.pid) - cpu
                per_s = verifications.per_s()
                load.mqtt.disconnect()
                load.mqtt.loop_stop()
            finally:
                server.stop()
    return DEVICES * rounds / cpu, DEVICES * rounds / wall, per_s


def rows(*, quick: bool) -> list[Row]:
    """One row."""
    rounds, turns = (2, 1) if quick else (100, 3)
    ratios, behind = [], {}
    for _ in range(turns):
        per_core, per_wall, verifications = _turn(rounds)
        ratios.append(100 * per_core / verifications)
        behind = {"batches_per_cpu_s": per_core, "batches_per_wall_s": per_wall, "verifications_per_cpu_s": verifications}
    what = f"ingest, MQTT in to cosignature out, batches of {LINES} lines from {DEVICES} devices, of one core's Ed25519 verifications"
    return [Row(what, 30, ">=", ratios, "%", behind)]
