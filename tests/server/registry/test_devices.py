"""What devices say of themselves: shown as it came, and never so that it spoils what others see."""

from __future__ import annotations

import pytest

from server.registry.devices import MAX_DEPTH, MAX_STATE


@pytest.fixture
def devices(services):
    return services.devices


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"\xff",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e999}',
        b'{"a":-1e999}',
        b'{"software":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"a":' + b"[" * 400 + b"]" * 400 + b"}",
        b"[" * 8000,
        b'{"a":' * MAX_DEPTH + b"{}" + b"}" * MAX_DEPTH,
        b'{"a":"' + b"x" * MAX_STATE + b'"}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"backlog_bytes":' + b"9" * 400 + b"}",
        b'{"a":9007199254740992}',
        b'{"a":-9007199254740992}',
    ],
    ids=lambda payload: payload[:24].decode("ascii", "replace"),
)
def test_what_could_not_be_shown_is_not_taken_in(web, devices, device, payload):
    devices.hear(device.device, "status", b'{"online":true}', 5)
    with pytest.raises(ValueError, match=r".+"):
        devices.hear(device.device, "status", payload, 6)
    assert web.people.get("/api/v1/devices").json()["items"][0]["states"]["status"] == {"at": 5, "said": {"online": True}}


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        '{"software":"执录 0.1 😀","x":"\\ud83d\\ude00"}'.encode(),
        b'{"a":' * (MAX_DEPTH - 1) + b"{}" + b"}" * (MAX_DEPTH - 1),
        b'{"battery":1e308,"alarms":[null,true,-0.5],"free":9007199254740991,"temperature":-9007199254740991}',
        b'{"backlog":{"lines":-9007199254740991,"bytes":9007199254740991},"clock":{"source":[],"error":9007199254740991}}',
        b'{"state":["alarm"],"online":1,"backlog":{"lines":"x"},"software":{"a":[1]}}',
    ],
)
def test_what_can_be_shown_is_shown_everywhere(web, ingest, devices, device, payload):
    for topic in ("status", "health"):
        devices.hear(device.device, topic, payload, 5)
    ingest.index()
    for path in ("/api/v1/devices", "/", "/devices", f"/devices/{device.device}"):
        assert web.people.get(path).status_code == 200, path
