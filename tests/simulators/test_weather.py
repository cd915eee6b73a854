"""Each weather by what it does to bytes: which arrive, in which order, how late at least, and what the ends get to know."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from simulators.errors import SimulatorError
from simulators.network import IN_FLIGHT, PIECE_BYTES, UNHEARD_BYTES, Address, Lines, Network, Relay
from simulators.weather import CLEAR, WEATHERS, Weather, forecast, weather

GENEROUS_S = 60
DATA = random.Random(1).randbytes(300_000)


class Upstream:
    """Answers with what it gets; remembers each connection's bytes."""

    def __init__(self) -> None:
        self.got: list[bytearray] = []

    async def serve(self, reader, writer):
        mine = bytearray()
        self.got.append(mine)
        try:
            while data := await reader.read(8192):
                mine += data
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()


def run(story: Callable[[Relay, Upstream], Coroutine[Any, Any, None]], **relay_options: Any) -> None:
    async def main():
        upstream = Upstream()
        server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
        relay = Relay(Address("127.0.0.1", server.sockets[0].getsockname()[1]), **relay_options)
        await relay.on()
        try:
            await story(relay, upstream)
        finally:
            await relay.close()
            server.close()
            await server.wait_closed()

    asyncio.run(asyncio.wait_for(main(), GENEROUS_S))


async def connect(relay):
    return await asyncio.open_connection("127.0.0.1", relay.port)


async def until(look: Callable[[], bool]) -> None:
    """What a relay has counted has no event to wait for; the whole story has a generous end."""
    pause = asyncio.Event()
    while not look():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(pause.wait(), 0.01)


async def exchange(relay, data):
    """Send everything, say so, and read to the end."""
    reader, writer = await connect(relay)
    writer.write(data)
    writer.write_eof()
    back = await reader.read()
    writer.close()
    return back


@pytest.mark.parametrize("name", ["clear", "far", "jitter", "lossy", "reorder"])
def test_what_is_only_late_arrives_whole_and_in_order(name):
    async def story(relay, upstream):
        await relay.become(weather(name), seed=7)
        assert await exchange(relay, DATA[:40_000]) == DATA[:40_000]
        assert upstream.got == [DATA[:40_000]]
        assert (relay.counts.up_bytes, relay.counts.down_bytes, relay.counts.lost_up_bytes, relay.counts.cut) == (40_000, 40_000, 0, 0)

    run(story)


def test_a_delay_is_at_least_what_it_says_each_way():
    async def story(relay, _upstream):
        loop = asyncio.get_running_loop()
        await relay.become(Weather(delay_ms=60))
        began = loop.time()
        assert await exchange(relay, b"x") == b"x"
        assert loop.time() - began >= 0.12

    run(story)


def test_a_limited_line_carries_no_more_than_its_rate_whoever_shares_it():
    async def story(relay, upstream):
        loop = asyncio.get_running_loop()
        await relay.become(Weather(bytes_per_s=40_000))
        began = loop.time()
        backs = await asyncio.gather(*(exchange(relay, DATA[:8_000]) for _ in range(2)))
        assert backs == [DATA[:8_000]] * 2
        assert loop.time() - began >= 16_000 / 40_000

    run(story)


def test_two_on_one_line_take_turns():
    """One of them has far more to say; the other is done before it all the same."""

    async def main():
        upstream, lines, done = Upstream(), Lines(), []
        server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
        address = Address("127.0.0.1", server.sockets[0].getsockname()[1])
        networks = [Network({"server": address}, lines) for _ in range(2)]

        async def send(number, count):
            assert await exchange(networks[number].relays["server"], DATA[:count]) == DATA[:count]
            done.append(number)

        for network in networks:
            await network.switch(up=True)
            await network.become(Weather(bytes_per_s=50_000))
        greedy = asyncio.create_task(send(0, 40_000))
        await until(lambda: networks[0].relays["server"].counts.up_bytes >= 2_000)
        await send(1, 4_000)
        await greedy
        assert done == [1, 0]
        for network in networks:
            await network.close()
        server.close()

    asyncio.run(asyncio.wait_for(main(), GENEROUS_S))


@pytest.mark.parametrize("seed", range(5))
def test_a_cut_comes_in_the_middle_of_what_is_sent_and_what_came_before_it_is_a_prefix(seed):
    async def story(relay, upstream):
        await relay.become(Weather(cut_bytes=(1_000, 30_000)), seed)
        reader, writer = await connect(relay)
        writer.write(DATA)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(len(DATA))
        writer.close()
        passed = relay.counts.up_bytes + relay.counts.down_bytes
        assert 1_000 <= passed <= 30_000
        assert relay.counts.cut == 1
        assert DATA.startswith(bytes(upstream.got[0]))
        assert len(upstream.got[0]) <= relay.counts.up_bytes

    run(story)


def test_the_same_seed_cuts_at_the_same_byte():
    lengths = []

    async def story(relay, upstream):
        await relay.become(Weather(cut_bytes=(1, 100_000)), seed=11)
        reader, writer = await connect(relay)
        for _ in range(20):  # one way only, so that the order of both is no matter of chance
            writer.write(bytes(5_000))
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1_000_000)
        lengths.append(relay.counts.up_bytes + relay.counts.down_bytes)
        writer.close()

    for _ in range(2):
        run(story)
    assert lengths[0] == lengths[1]


def test_half_open_takes_everything_and_says_nothing_and_stays_so():
    async def story(relay, upstream):
        await relay.become(weather("half-open"))
        reader, writer = await connect(relay)
        writer.write(DATA)
        await writer.drain()
        await until(lambda: relay.counts.lost_up_bytes >= len(DATA))
        await relay.become(CLEAR)
        writer.write(b"more")
        await until(lambda: relay.counts.lost_up_bytes >= len(DATA) + 4)
        assert upstream.got == []
        assert relay.connections == 1
        assert await exchange(relay, b"a new one") == b"a new one"
        writer.close()
        assert not await reader.read()
        await until(lambda: not relay.connections)

    run(story)


def test_a_black_hole_opens_behind_so_many_bytes_and_the_server_is_not_told():
    async def story(relay, upstream):
        await relay.become(Weather(dark_bytes=1_000))
        reader, writer = await connect(relay)
        writer.write(DATA[:400])
        assert await reader.readexactly(400) == DATA[:400]
        writer.write(DATA[400:2_400])
        await until(lambda: relay.counts.lost_up_bytes >= 1_800)
        assert bytes(upstream.got[0]) == DATA[:600]
        await relay.become(CLEAR)
        assert relay.connections == 1
        writer.close()
        await until(lambda: not relay.connections)

    run(story)


def test_into_a_black_hole_goes_a_window_and_no_more():
    """Nothing is acknowledged in there, so no sender of the real world could empty itself into it."""

    async def story(relay, _upstream):
        await relay.become(Weather(dark_bytes=1_000))
        _, writer = await connect(relay)
        writer.write(DATA)
        await until(lambda: relay.counts.stuck)
        await relay.become(CLEAR)
        assert await exchange(relay, b"a new one") == b"a new one"
        assert UNHEARD_BYTES <= relay.counts.lost_up_bytes < UNHEARD_BYTES + (IN_FLIGHT + 2) * PIECE_BYTES < len(DATA)
        assert relay.connections >= 1
        writer.close()
        await relay.off()
        assert not relay.connections

    run(story)


def test_a_running_connection_meets_the_weather_that_comes():
    async def story(relay, upstream):
        reader, writer = await connect(relay)
        writer.write(b"before")
        assert await reader.readexactly(6) == b"before"
        await relay.become(weather("half-open"))
        writer.write(b"after")
        await until(lambda: relay.counts.lost_up_bytes >= 5)
        assert bytes(upstream.got[0]) == b"before"
        writer.close()

    run(story)


def test_connections_overtake_each_other():
    async def story(relay, upstream):
        await relay.become(Weather(hold_ms=300), seed=3)
        names = [bytes([65 + number]) for number in range(8)]
        tasks = []
        for name in names:
            tasks.append(asyncio.create_task(exchange(relay, name)))
            await asyncio.sleep(0)
        assert await asyncio.gather(*tasks) == names
        order = [bytes(got) for got in upstream.got]
        assert sorted(order) == names
        assert order != names

    run(story)


def test_refuse_finds_nobody_and_lets_running_ones_go_on():
    async def story(relay, _upstream):
        reader, writer = await connect(relay)
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"
        await relay.become(weather("refuse"))
        with pytest.raises(ConnectionRefusedError):
            await connect(relay)
        writer.write(b"two")
        assert await reader.readexactly(3) == b"two"
        await relay.off()
        await relay.on()
        with pytest.raises(ConnectionRefusedError):
            await connect(relay)
        await relay.become(CLEAR)
        assert await exchange(relay, b"three") == b"three"
        writer.close()

    run(story)


def test_off_ends_what_is_held_back_at_once():
    async def story(relay, _upstream):
        await relay.become(Weather(delay_ms=3_600_000))
        reader, writer = await connect(relay)
        writer.write(b"never")
        await asyncio.sleep(0)
        await relay.off()
        assert relay.connections == 0
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()

    run(story)


def test_loss_is_lateness_by_whole_retransmissions():
    chance = random.Random(5)
    always, never = Weather(late_percent=100), Weather(late_percent=0)
    assert always.behind_s(chance) == pytest.approx(0.2 + 0.4 + 0.8 + 1.6 + 3.2)
    assert never.behind_s(chance) == 0
    some = [Weather(late_percent=10).behind_s(chance) for _ in range(2_000)]
    assert 100 < sum(one > 0 for one in some) < 300
    assert {round(one, 3) for one in some} <= {0, 0.2, 0.6, 1.4, 3.0, 6.2}


def test_a_piece_on_a_slow_line_is_a_twentieth_of_a_second():
    assert [Weather(bytes_per_s=rate).piece_bytes(16_384) for rate in (0, 125, 8_000, 10_000_000)] == [16_384, 32, 400, 16_384]


def test_a_forecast_is_its_seeds_and_leaves_nothing_out():
    names = [name for name in WEATHERS if name != "clear"]
    first, again, other = (list(itertools.islice(forecast(seed, names), 4 * len(names))) for seed in (1, 1, 2))
    assert first == again != other
    assert sorted(name for name, _ in first[: 2 * len(names) : 2]) == sorted(names)
    assert {name for name, _ in first[1::2]} == {"clear"}
    assert all(seconds > 0 for _, seconds in first)


def test_a_weather_that_is_not_there_is_refused_by_name():
    with pytest.raises(SimulatorError, match="no weather is called 'hail'; there are clear, far, "):
        weather("hail")
