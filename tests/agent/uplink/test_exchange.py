"""The whole conversation over a real mosquitto with mutual TLS, and with a broker that dies and forgets."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.core import merkle, note, wire
from agent.core.replica import Replica
from agent.uplink.exchange import Exchange, Report, payload, topics
from agent.uplink.inbox import Inbox, Stopped
from agent.uplink.mqtt import Broker, Link
from agent.uplink.ports import Surroundings
from agent.uplink.sending import Sending

RECORDING = "01HZY0000000000000000000AB"


def up_us() -> int:
    return time.monotonic_ns() // 1_000


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


AROUND = Surroundings(up_us, wall_ms, random.random)


class Notebook:
    """Whom the uplink tells (`agent.uplink.ports.Told`): writes it down."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.receipts: list[str] = []
        self.beacons: list[int] = []
        self.orders: list[tuple[int, Callable[[], None]]] = []
        self.forks: list[str] = []

    def cosigned(self, news) -> None:
        self.sizes.append(news.size)

    def stored(self, news) -> None:
        self.receipts.append(news.recording)

    def beacon(self, news) -> None:
        self.beacons.append(news.size)

    def order(self, news, done) -> None:
        self.orders.append((news.number, done))

    def forked(self, detail) -> None:
        self.forks.append(detail)

    def damaged(self, fragment, detail) -> None:
        raise AssertionError("this conversation carries no media")

    mismatch = damaged

    def stopped(self, recording):
        return Stopped(b"\x05" * 32, 12, 345_678) if recording == RECORDING else None


class Server:
    """The server's side in small: admits batches, cosigns, answers with the newest. `mischief` may bend an answer."""

    def __init__(self, deployment, port: int, context) -> None:
        self.deployment = deployment
        self.lines: list[bytes] = []
        self.batches: list[tuple[int, int]] = []
        self.heard: dict[str, bytes] = {}
        self.retained: Counter[str] = Counter()
        self.answer = True
        self.copies = 1
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id="zhilu-server", protocol=paho.MQTTv5)
        self.client.tls_set_context(context)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe("zhilu/+/+", qos=1)
        self.client.on_message = self._message
        self.subscribed = threading.Event()
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.connect_async("127.0.0.1", port)
        self.client.loop_start()

    def _message(self, _client, _userdata, message) -> None:
        leaf = message.topic.rpartition("/")[2]
        if leaf in {"status", "health", "reported"}:
            self.heard[leaf] = message.payload
            self.retained[leaf] += message.retain
        if leaf == "journal":
            self._batch(wire.decode_batch(message.payload))

    def _batch(self, batch) -> None:
        self.batches.append((batch.first, batch.size))
        if batch.first <= len(self.lines) < batch.size:
            self.lines += batch.lines[len(self.lines) - batch.first :]
            assert merkle.root_of([merkle.leaf_hash(line) for line in self.lines]) == batch.root
            note.open_note(batch.note, [self.deployment.keys.ours])
        if self.answer and self.lines:
            self.cosign()

    def cosign(self) -> None:
        root = merkle.root_of([merkle.leaf_hash(line) for line in self.lines])
        for _ in range(self.copies):
            self.say("witness", self.deployment.cosigned(len(self.lines), root))

    def say(self, leaf: str, content: bytes, *, retain: bool = False) -> None:
        topic = wire.LEDGER_TOPIC if leaf == "ledger" else wire.topic(self.deployment.name, leaf)
        self.client.publish(topic, content, qos=1, retain=retain)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Device:
    """The uplink of one device in a thread of its own, as the supervisor runs it."""

    def __init__(self, deployment, port: int, context, version: str = "5.0") -> None:
        self.state = {"online": True, "state": "idle"}
        self.book = Notebook()
        self.inbox = Inbox(deployment.origin, deployment.keys)
        broker = Broker("127.0.0.1", port, deployment.name, context, version, 5, 3_600, 20, 200)
        farewell = (wire.topic(deployment.name, "status"), payload({"online": False}))
        self.link = Link(broker, topics(deployment.name), lambda: farewell, AROUND)
        reports: dict[str, Report] = {
            "status": lambda: self.state,
            "health": lambda: {"battery": 80},
            "reported": lambda: {"software": "1"},
        }
        self.exchange = Exchange(deployment.name, self.link, self.inbox, self.book, reports, AROUND, 1)
        self.farewell = farewell
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.problem: BaseException | None = None
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self.exchange.step(0.1)
        except BaseException as problem:
            self.problem = problem
            raise

    def begin(self, journal, cosigned: int = 0) -> Sending:
        sending = Sending(Replica(journal.size, cosigned), 1, random.random)
        self.exchange.begin(journal, sending)
        return sending

    def halt(self) -> None:
        """Stop without a word, as when the power goes."""
        self._stop.set()
        self.link.wake()
        self._thread.join()
        assert self.problem is None, self.problem

    def close(self) -> None:
        self.halt()
        self.link.close(self.farewell)


@pytest.fixture(params=["5.0", "3.1.1"])
def device(request, deployment, broker, authority) -> Iterator[Device]:
    one = Device(deployment, broker.port, authority.context(deployment.name), request.param)
    yield one
    one.close()


@pytest.fixture
def server(deployment, broker, authority, wait_for) -> Iterator[Server]:
    one = Server(deployment, broker.port, authority.context("zhilu-server"))
    wait_for(one.subscribed.is_set)
    yield one
    one.close()


def line(number: int) -> bytes:
    return b'{"number":%d,"filler":"%s"}' % (number, b"x" * 150)


def test_nothing_goes_before_the_handshake_has_an_answer(device, server, journal, wait_for):
    journal.append([line(0)])
    wait_for(lambda: "status" in server.heard)
    assert not server.batches
    device.begin(journal)
    wait_for(lambda: device.book.sizes == [1])


def test_a_long_journal_goes_in_batches_that_end_at_checkpoints(device, server, journal, wait_for):
    number = 0
    while number < 3_000:
        size = random.randint(1, 200)
        journal.append([line(n) for n in range(number, number + size)])
        number += size
    device.begin(journal)
    wait_for(lambda: device.book.sizes and device.book.sizes[-1] == journal.size)
    assert server.lines == journal.lines(0, journal.size)
    assert all(end - first <= wire.MAX_BATCH_LINES for first, end in server.batches)
    assert device.book.sizes == sorted(set(device.book.sizes))


def test_doubled_answers_change_nothing(device, server, journal, wait_for):
    server.copies = 3
    journal.append([line(0), line(1)])
    device.begin(journal)
    wait_for(lambda: device.book.sizes == [2])
    for number in range(2, 12):
        journal.append([line(number)])
        device.link.wake()
        wait_for(lambda expected=number + 1: device.book.sizes[-1] == expected)
    assert server.lines == journal.lines(0, journal.size)
    assert device.book.sizes == sorted(set(device.book.sizes))


def test_a_broker_that_dies_and_forgets_loses_nothing(device, server, broker, journal, wait_for):
    journal.append([line(0)])
    device.begin(journal)
    wait_for(lambda: device.book.sizes == [1])
    broker.kill()
    for number in range(1, 400):
        journal.append([line(number)])
    wait_for(lambda: not device.link.connected)
    broker.start()
    wait_for(lambda: device.book.sizes[-1] == 400)
    assert server.lines == journal.lines(0, journal.size)
    wait_for(lambda: json.loads(server.heard["status"])["online"])


def test_the_servers_silence_makes_the_device_send_again_and_then_ask(device, server, journal, wait_for):
    server.answer = False
    for number in range(100):
        journal.append([line(number)])
    device.begin(journal)
    wait_for(lambda: not device.exchange.open, "the handshake to be due")
    wait_for(lambda: len(server.batches) >= 2)
    sizes = [size - first for first, size in server.batches]
    again = device.begin(journal)
    wait_for(lambda: not device.exchange.open, "the handshake to be due again")
    assert again.in_vain > 2
    later = [size - first for first, size in server.batches][len(sizes) :]
    assert sum(later) < sum(sizes) / 2  # what nobody answers is asked for by little
    server.answer = True
    device.begin(journal)
    wait_for(lambda: device.book.sizes and device.book.sizes[-1] == 100)


def test_a_server_that_holds_less_is_served_from_there(device, server, journal, wait_for):
    for number in range(20):
        journal.append([line(number)])
    server.lines = journal.lines(0, 5)
    device.begin(journal, cosigned=0)
    wait_for(lambda: device.book.sizes and device.book.sizes[-1] == 20)
    assert server.lines == journal.lines(0, journal.size)


def test_a_fork_ends_the_conversation(device, server, deployment, journal, wait_for):
    journal.append([line(0)])
    server.answer = False
    device.begin(journal)
    wait_for(lambda: server.batches)
    server.say("witness", deployment.cosigned(1, b"\x01" * 32))
    wait_for(lambda: device.book.forks)
    assert not device.exchange.open
    assert device.inbox.refused["other-root"] == 1
    assert not device.book.sizes


def test_foreign_and_broken_messages_are_counted_and_passed_over(device, server, deployment, journal, wait_for):
    journal.append([line(0)])
    device.begin(journal)
    wait_for(lambda: device.book.sizes == [1])
    server.say("witness", b"")
    server.say("receipt", b"\xff")
    server.say("command", bytes(70_000))
    server.say("witness", deployment.cosigned(1, journal.root_at(1), origin=f"{deployment.domain}/DSJ-0000008/1"))
    wait_for(lambda: device.inbox.refused.total() >= 4)
    assert device.inbox.refused == {"malformed": 1, "not-text": 1, "too-long": 1, "foreign": 1}
    journal.append([line(1)])
    device.link.wake()
    wait_for(lambda: device.book.sizes == [1, 2])


def test_receipts_and_beacons_arrive(device, server, deployment, wait_for):
    wait_for(lambda: "status" in server.heard)
    figures = {"origin": deployment.origin, "recording": RECORDING, "stop": "05" * 32, "fragments": 12, "bytes": 345_678}
    server.say("receipt", deployment.receipt(figures))
    server.say("ledger", deployment.beacon(9), retain=True)
    wait_for(lambda: device.book.receipts == [RECORDING] and device.book.beacons == [9])


def test_an_order_waits_for_its_line_before_it_is_acknowledged(server, deployment, broker, authority, wait_for):
    context = authority.context(deployment.name)
    first = Device(deployment, broker.port, context)
    wait_for(lambda: "status" in server.heard)
    server.say("command", deployment.order(1, {"name": "mark", "expires": wall_ms() + 60_000}))
    wait_for(lambda: first.book.orders)
    first.halt()
    first.link._drop()
    # the agent died before the order's line was durable: the broker gives it again to the next one
    second = Device(deployment, broker.port, context)
    wait_for(lambda: second.book.orders)
    number, done = second.book.orders[0]
    assert number == 1
    done()
    wait_for(lambda: not second.link._acknowledged)
    second.close()
    third = Device(deployment, broker.port, context)
    server.say("command", deployment.order(2, {"name": "mark", "expires": wall_ms() + 60_000}))
    wait_for(lambda: third.book.orders)
    assert [number for number, _ in third.book.orders] == [2]
    third.close()


def test_status_is_retained_and_follows_the_device(device, server, deployment, wait_for):
    wait_for(lambda: json.loads(server.heard.get("status", b"{}")).get("state") == "idle")
    device.state["state"] = "recording"
    device.link.wake()
    wait_for(lambda: json.loads(server.heard["status"])["state"] == "recording")
    wait_for(lambda: {"health", "reported"} <= set(server.heard))


def test_a_device_that_vanishes_leaves_its_last_will(server, deployment, broker, authority, wait_for):
    one = Device(deployment, broker.port, authority.context(deployment.name))
    wait_for(lambda: json.loads(server.heard.get("status", b"{}")).get("online") is True)
    one.halt()
    one.link._drop()
    wait_for(lambda: json.loads(server.heard["status"]) == {"online": False})


def test_a_device_that_ends_says_farewell(server, deployment, broker, authority, wait_for):
    one = Device(deployment, broker.port, authority.context(deployment.name))
    wait_for(lambda: json.loads(server.heard.get("status", b"{}")).get("online") is True)
    one.close()
    wait_for(lambda: json.loads(server.heard["status"]) == {"online": False})


def test_a_broker_that_is_not_there_is_asked_again_with_jitter(deployment, broker, authority, wait_for):
    broker.kill()
    one = Device(deployment, broker.port, authority.context(deployment.name))
    wait_for(lambda: one.link.failures >= 3)
    assert str(broker.port) in one.link.last_error
    broker.start()
    wait_for(lambda: one.link.connected)
    one.close()


# paho drops a socket whose handshake failed without closing it; the interpreter does at once, and says so
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_stranger_without_our_authoritys_certificate_stays_out(deployment, broker, tmp_path, authority, wait_for):
    (tmp_path / "other").mkdir()
    other = type(authority)(tmp_path / "other")
    context = other.context(deployment.name)
    context.load_verify_locations(authority.ca)
    one = Device(deployment, broker.port, context)
    wait_for(lambda: one.link.failures >= 2)
    assert not one.link.connected
    one.close()
