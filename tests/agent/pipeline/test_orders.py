"""Orders are carried out, refused or called expired, and each is answered in the journal before it is acknowledged."""

from __future__ import annotations

import pytest

from agent.core.errors import SessionError
from agent.pipeline.orders import Orders
from agent.pipeline.state import State
from agent.uplink.inbox import Order


class Hand:
    """What an order moves: a recorder (`agent.capture.recorder.Recorder`) and an uploader, as far as orders know them."""

    def __init__(self) -> None:
        self.did: list[tuple[str, ...]] = []
        self.refuses = False

    def start(self, trigger: str) -> str:
        return self._do("start", trigger)

    def stop(self, trigger: str) -> None:
        self._do("stop", trigger)

    def mark(self, label: str) -> None:
        self._do("mark", label)

    def hurry(self) -> None:
        self._do("upload")

    def _do(self, *what: str) -> str:
        if self.refuses:
            raise SessionError("event 'press_start' in state recording: expected mark")
        self.did.append(what)
        return "01HZY0000000000000000000AB"


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
def orders(bench, hand, state) -> Orders:
    return Orders(hand, bench.clerk, state, lambda: hand)


def order(name: str, number: int = 1, *, expired: bool = False, **members) -> Order:
    return Order(number, name, {"name": name, **members}, expired)


@pytest.mark.parametrize(
    ("name", "members", "did"),
    [
        ("start", {}, ("start", "remote")),
        ("stop", {}, ("stop", "remote")),
        ("mark", {"label": "knife"}, ("mark", "knife")),
        ("mark", {}, ("mark", "remote")),
        ("upload", {}, ("upload",)),
    ],
)
def test_an_order_is_carried_out(orders, hand, name, members, did):
    assert orders.carry_out(order(name, **members)) == "done"
    assert hand.did == [did]


@pytest.mark.parametrize("name", ["reboot", "update", "renew", "lock", "purge", "", "__class__"])
def test_every_other_order_is_unsupported(orders, hand, name):
    assert orders.carry_out(order(name)) == "unsupported"
    assert hand.did == []


def test_an_old_order_is_expired(orders, hand):
    assert orders.carry_out(order("start", expired=True)) == "expired"
    assert hand.did == []


@pytest.mark.parametrize("label", ["", "x" * 201, 7, None])
def test_a_label_has_bounds(orders, hand, label):
    assert orders.carry_out(order("mark", label=label)).startswith("refused")
    assert hand.did == []


def test_what_the_recorder_does_not_know_now_is_refused(orders, hand):
    hand.refuses = True
    assert orders.carry_out(order("start")).startswith("refused: event")


def test_a_full_disk_refuses_a_start(orders, hand, state):
    state.space = "full"
    state.alarm("disk-full")
    assert orders.carry_out(order("start")) == "refused: disk full: no recording"
    assert orders.carry_out(order("stop")) == "done"


def test_a_device_without_camera_and_microphone_says_so(bench, state):
    orders = Orders(None, bench.clerk, state, lambda: None)
    for name in ("start", "stop", "mark"):
        assert orders.carry_out(order(name)) == "refused: there is no camera and no microphone"
    assert orders.carry_out(order("upload")).startswith("refused")


def test_locate_puts_the_newest_position_on_record(bench, orders, make_fix):
    assert orders.carry_out(order("locate")) == "refused: no position is known"
    bench.clerk.seen(make_fix(lat=300_000_000))
    assert orders.carry_out(order("locate")) == "done"
    bench.clerk.step()
    assert bench.lines("fix")[0]["lat"] == 300_000_000


def test_the_answer_is_durable_before_the_order_is_acknowledged(bench, orders):
    acknowledged = []
    orders.post(order("reboot", 7), lambda: acknowledged.append(bench.lines("order")))
    assert orders.step() == "reboot: unsupported"
    assert not acknowledged
    bench.clerk.step()
    (line,) = acknowledged[0]
    assert (line["number"], line["name"], line["result"]) == (7, "reboot", "unsupported")
    assert bench.journal.story.last_order == 7
