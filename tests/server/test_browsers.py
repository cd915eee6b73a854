"""Pages of other sites that are open in the same browser get nothing out of the console and write nothing into its ledger."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from server.browsers import refusal
from tests.server.api.test_api import custody, recording  # noqa: F401 — a fixture

EVIL = "http://evil.example"


def asked(method: str, **headers: str) -> str | None:
    """The slug of the refusal."""
    problem = refusal(method, Headers({"host": "127.0.0.1:8080"} | {name.replace("_", "-"): value for name, value in headers.items()}))
    return problem.slug if problem else None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8080", "localhost:8080", "LOCALHOST", "[::1]:8080", "127.8.9.1:80"])
def test_this_machine_by_any_of_its_names(host):
    assert asked("GET", host=host) is None


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.1:8080", "[2001:db8::1]"),
        *("", "127.1", "127.0.0.1@evil.example", "evil.example@127.0.0.1", "[127.0.0.1]", "localhost:8080,evil", "0.0.0.0"),
    ],
)
def test_a_name_that_leads_here_is_not_ours(host):
    assert asked("GET", host=host) == "other-host"


def test_one_host_and_only_one():
    for count in (0, 2):
        problem = refusal("GET", Headers(raw=[(b"host", b"localhost")] * count))
        assert problem is not None
        assert problem.slug == "other-host"


@pytest.mark.parametrize("site", ["cross-site", "same-site", "whatever"])
@pytest.mark.parametrize("mode", [("no-cors", "image"), ("cors", "empty"), ("navigate", "iframe"), ("", "")])
def test_another_site_gets_nothing(site, mode):
    assert asked("GET", sec_fetch_site=site, sec_fetch_mode=mode[0], sec_fetch_dest=mode[1]) == "other-site"


def test_a_link_that_somebody_follows_is_his_own_doing():
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert asked("GET", **link) is None
    assert asked("POST", **link) == "other-site"


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_our_own_pages_and_the_address_bar(site):
    assert asked("GET", sec_fetch_site=site) is None
    assert asked("POST", sec_fetch_site=site, origin="http://127.0.0.1:8080") is None


@pytest.mark.parametrize("origin", [EVIL, "null", "http://127.0.0.1", "http://127.0.0.1:3000", "http://[", "", "127.0.0.1:8080"])
def test_a_browser_that_only_knows_origin(origin):
    assert asked("POST", origin=origin) == "other-site"
    assert asked("GET", origin=origin) is None


def test_programs_send_nothing_of_all_this(web):
    assert web.people.get("/api/v1/devices").status_code == 200


def test_no_package_for_another_sites_form(web, ingest, recording):  # noqa: F811 — the fixture
    path = f"/api/v1/recordings/{recording.recording}/package"
    for headers in ({"Origin": EVIL}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example:8080"}):
        answer = web.people("POST", path, headers=headers)
        assert answer.status_code in (403, 421)
        assert answer.headers["content-type"] == "application/problem+json"
    assert custody(ingest, "export") == []
    assert ingest.services.metrics.value("zhilu_problems_total", "other-site") == 2


def test_no_device_is_revoked_by_a_name_that_was_pointed_here(web, ingest, device):
    answer = web.people("POST", f"/api/v1/devices/{device.device}/revoke", json={"reason": "x"}, headers={"Host": "evil.example"})
    assert (answer.status_code, answer.json()["type"]) == (421, "urn:zhilu:other-host")
    assert custody(ingest, "revoke") == []


def test_no_search_is_written_down_for_a_picture_on_another_page(web, ingest):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    assert web.people.get("/api/v1/recordings?officer=1", headers=headers).status_code == 403
    assert custody(ingest, "search") == []
