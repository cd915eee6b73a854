"""A settings file with something wrong in it: which line, what was expected, what came."""

from __future__ import annotations

import pytest

from server import config
from server.errors import SettingsError

GOOD = 'domain = "evidence.example.gov"\n'


def load(tmp_path, text: str | bytes):
    path = tmp_path / "settings.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return config.load(path)


def test_everything_but_the_domain_has_a_default(tmp_path):
    settings = load(tmp_path, GOOD)
    assert (settings.ledger_origin, settings.witness_name) == ("evidence.example.gov/ledger", "evidence.example.gov/witness")
    assert settings.console.host == "127.0.0.1"
    assert settings.path("tls/ca.crt") == tmp_path.resolve() / "tls/ca.crt"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1, domain: expected a value, got none; add it"),
        ('domain = "a b"\n', "line 1, domain: expected a domain name without spaces or plus, got 'a b'"),
        (GOOD + "colour = 1\n", "line 2, colour: there is no such setting"),
        (GOOD + "[broker]\nport = 1\nhots = 'x'\n", "line 4, broker.hots: there is no such setting"),
        (GOOD + "[broker]\nport = '8883'\n", "line 3, broker.port: expected an integer, got '8883'"),
        (GOOD + "[ledger]\n\nanchor_s = 0.5\n", "line 4, ledger.anchor_s: expected an integer, got '0.5'"),
        (GOOD + "[ledger]\nanchor_s = 0\n", "line 3, ledger.anchor_s: expected greater than or equal to 1, got '0'"),
        (GOOD + "[devices]\nport = 70000\n", "line 3, devices.port: expected less than or equal to 65535, got '70000'"),
        (GOOD + "console = 5\n", "line 2, console: expected "),
        (GOOD + "[console]\nhost = '0.0.0.0'\n", "line 3, console.host: expected a loopback address"),
        (GOOD + "[console]\nhost = 'example.gov'\n", "line 3, console.host: expected a loopback address"),
        (GOOD + 'folder = "/"\n', "line 2, folder: there is no such setting"),
        ("domain = \n", "expected TOML, got: "),
        (b"domain = \xff", "expected UTF-8, got byte 0xff at 9"),
    ],
)
def test_each_mistake_says_where_it_stands_and_what_was_expected(tmp_path, text, said):
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert said in str(caught.value)
    assert str(tmp_path / "settings.toml") in str(caught.value)


def test_all_mistakes_are_told_in_the_order_of_the_file(tmp_path):
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, GOOD + "[broker]\nport = 'x'\n[media]\nrequest_bytes = 1\n")
    assert [line.split(", ")[1] for line in str(caught.value).splitlines()] == ["line 3", "line 5"]


def test_no_file(tmp_path):
    with pytest.raises(SettingsError, match="make a deployment first"):
        config.load(tmp_path / "none.toml")
