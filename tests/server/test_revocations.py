"""The revocation list towards devices: read when it changes, believed only from our authority."""

from __future__ import annotations

import pytest

from provisioning import deployment as deployments
from provisioning import device as devices
from server import config
from server.errors import SettingsError
from server.revocations import Revocations, serial_number
from tests.server.virtual import DOMAIN


@pytest.fixture
def deployment(tmp_path):
    return deployments.create(tmp_path / "deployment", DOMAIN)


@pytest.fixture
def settings(deployment):
    return config.load(deployment.server_settings)


def numbers(deployment) -> list[int]:
    return [one.serial_number for one in deployment.authority.issued()]


def test_what_is_revoked_counts_at_the_next_look(deployment, settings, tmp_path):
    revoked = Revocations(settings)
    devices.enrol(deployment, "DSJ-0000001", tmp_path / "state")
    assert [number for number in numbers(deployment) if number in revoked] == []
    assert not revoked.step()
    deployment.revoke("DSJ-0000001")
    assert revoked.step()
    assert len([number for number in numbers(deployment) if number in revoked]) == 2
    assert None not in revoked
    assert not revoked.step()


def test_a_list_that_is_not_ours_is_not_believed(deployment, settings, tmp_path):
    revoked = Revocations(settings)
    deployment.revoke("nobody")
    deployments.create(tmp_path / "other", DOMAIN).authority.revoke("x")
    (deployment.server_folder / "tls" / "crl.pem").write_bytes((tmp_path / "other" / "ca" / "crl.pem").read_bytes())
    with pytest.raises(SettingsError, match="not signed by the authority"):
        revoked.step()
    with pytest.raises(SettingsError, match="not signed by the authority"):
        Revocations(settings)


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"])
def test_without_a_list_that_can_be_read_the_old_one_stays(deployment, settings, content, tmp_path):
    devices.enrol(deployment, "DSJ-0000001", tmp_path / "state")
    deployment.revoke("DSJ-0000001")
    revoked = Revocations(settings)
    path = deployment.server_folder / "tls" / "crl.pem"
    path.unlink() if content is None else path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(SettingsError, match="expected a revocation list"):
            revoked.step()
    assert len([number for number in numbers(deployment) if number in revoked]) == 2


def test_who_has_no_list_asks_for_nobody(settings):
    without = settings.model_copy(update={"devices": settings.devices.model_copy(update={"crl": ""})})
    revoked = Revocations(without)
    assert not revoked.step()
    assert 1 not in revoked


@pytest.mark.parametrize(("certificate", "number"), [(None, None), ({}, None), ({"serialNumber": "0A"}, 10)])
def test_the_number_of_a_certificate(certificate, number):
    assert serial_number(certificate) == number
