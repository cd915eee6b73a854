"""The network switch: bytes through, connections cut, new ones refused, and the port kept for its return."""

from __future__ import annotations

import asyncio

import pytest

from simulators.network import Address, Network, Relay

GENEROUS_S = 30


async def echo(reader, writer):
    while data := await reader.read(1024):
        writer.write(data.upper())
        await writer.drain()
    writer.write(b"bye")
    writer.close()


def run(story):
    async def main():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        network = Network({"broker": Address("127.0.0.1", server.sockets[0].getsockname()[1])})
        try:
            await story(network)
        finally:
            await network.close()
            server.close()
            await server.wait_closed()

    asyncio.run(asyncio.wait_for(main(), GENEROUS_S))


def connect(network):
    return asyncio.open_connection("127.0.0.1", network.relays["broker"].port)


async def ask(reader, writer, data):
    writer.write(data)
    return await reader.readexactly(len(data))


def test_bytes_go_through_and_the_end_of_one_side_is_not_the_end_of_the_other():
    async def story(network):
        await network.switch(up=True)
        reader, writer = await connect(network)
        assert await ask(reader, writer, b"hello") == b"HELLO"
        assert network.relays["broker"].connections == 1
        writer.write_eof()
        assert await reader.read() == b"bye"
        writer.close()
        assert network.relays["broker"].passed_bytes == 13

    run(story)


def test_off_cuts_what_runs_and_refuses_what_comes_and_on_lets_it_in_again():
    async def story(network):
        await network.switch(up=True)
        reader, writer = await connect(network)
        await ask(reader, writer, b"one")
        for _ in range(3):
            await network.switch(up=False)
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
            writer.close()
            assert network.relays["broker"].connections == 0
            with pytest.raises(ConnectionRefusedError):
                await connect(network)
            await network.switch(up=True)
            reader, writer = await connect(network)
            assert await ask(reader, writer, b"again") == b"AGAIN"
        writer.close()

    run(story)


def test_it_is_off_until_it_is_switched_on_and_twice_is_once():
    async def story(network):
        with pytest.raises(ConnectionRefusedError):
            await connect(network)
        await network.switch(up=True)
        await network.switch(up=True)
        reader, writer = await connect(network)
        assert await ask(reader, writer, b"x") == b"X"
        writer.close()

    run(story)


def test_where_nobody_answers_the_connection_ends():
    async def story(_network):
        nobody = Relay(Address("127.0.0.1", 1))
        await nobody.on()
        reader, writer = await asyncio.open_connection("127.0.0.1", nobody.port)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        await nobody.close()

    run(story)
