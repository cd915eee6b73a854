"""Makes a whole deployment: one folder with the certificate authority, the broker's settings and the server's data folder.

    deployment.toml        domain, host names, ports: the only file here that people edit; `apply` writes the others from it
    ca/                    the certificate authority (provisioning.authority); belongs on a machine of its own once there are real devices
    broker/                mosquitto.conf, acl.txt, ca.crt, crl.pem, broker.crt, broker.key, data/
    server/                the server's data folder: settings.toml, keys/, tls/, enrolments/

`deployment.toml` is written last: a folder without it was not finished and is refused. Who runs broker and server is left to others.
"""

from __future__ import annotations

import ipaddress
import os
import pwd
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from agent.core import note
from agent.core.errors import NoteError
from provisioning import broker, files, keys, toml
from provisioning.authority import MAX_NAME, Authority
from provisioning.errors import BadName, DeploymentError

_T = TypeVar("_T")

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
"""Always in the server's and the broker's certificate: on one machine everything finds everything."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where things listen. The console's host is not a setting here: without a login it stays on loopback."""

    broker: int = 8883
    devices: int = 8443
    console: int = 8080


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment's folder and what its settings say. `host` is how devices reach it, `listen` the address that is bound."""

    folder: Path
    domain: str
    host: str = "localhost"
    listen: str = "127.0.0.1"
    ports: Ports = field(default_factory=Ports)

    @property
    def authority(self) -> Authority:
        """The certificate authority."""
        return Authority.open(self.folder / "ca")

    @property
    def server_folder(self) -> Path:
        """The server's data folder."""
        return self.folder / "server"

    @property
    def server_settings(self) -> Path:
        """The server's settings file."""
        return self.server_folder / "settings.toml"

    @property
    def broker_folder(self) -> Path:
        """The folder of mosquitto.conf and what it names."""
        return self.folder / "broker"

    @property
    def keys_file(self) -> Path:
        """The vkeys that somebody must be given to verify packages: the ledger's and the witness's, a line each."""
        return self.server_folder / "keys" / "keys.txt"

    def vkeys(self) -> dict[str, str]:
        """Return purpose → vkey: what a device learns at its enrolment."""
        return keys.server_vkeys(self.server_folder / "keys", self.domain)

    def with_ports(self, ports: Ports) -> Deployment:
        """Return the same deployment on other ports, with every settings file that names them written anew."""
        moved = replace(self, ports=ports)
        moved.apply()
        return moved

    def apply(self) -> None:
        """Write the settings of broker and server, and deployment.toml last."""
        data = files.folder(self.broker_folder / "data")
        files.write(data.parent / "acl.txt", broker.acl())
        files.write(data.parent / "mosquitto.conf", broker.config(data.parent, self.listen, self.ports.broker, _user()))
        files.write(self.server_settings, toml.write(self._server_table(), "Written by provisioning from ../deployment.toml."))
        table: toml.Table = {
            "domain": self.domain,
            "host": self.host,
            "listen": self.listen,
            "ports": {"broker": self.ports.broker, "devices": self.ports.devices, "console": self.ports.console},
        }
        files.write(self.folder / "deployment.toml", toml.write(table, "One deployment of Zhilu."))

    def revoke(self, device: str) -> int:
        """Revoke a device's certificates; how many. Broker (on SIGHUP) and server (by itself) read the list that is written for them."""
        authority = self.authority
        count = authority.revoke(device)
        files.write(self.broker_folder / "crl.pem", authority.crl_pem)
        files.write(self.server_folder / "tls" / "crl.pem", authority.crl_pem)
        return count

    def _server_table(self) -> toml.Table:
        client = {"certificate": "tls/mqtt.crt", "key": "tls/mqtt.key", "ca": "tls/ca.crt", "client_id": broker.SERVER_USER}
        return {
            "domain": self.domain,
            "devices": {"host": self.listen, "port": self.ports.devices, "crl": "tls/crl.pem"},
            "console": {"host": "127.0.0.1", "port": self.ports.console},
            "broker": {"host": "127.0.0.1" if self.listen in {"0.0.0.0", "::"} else self.listen, "port": self.ports.broker, **client},  # noqa: S104 - compared, not bound
        }


def create(
    folder: Path,
    domain: str,
    names: Sequence[str] = (),
    listen: str = "127.0.0.1",
    ports: Ports | None = None,
) -> Deployment:
    """Make a deployment; `names` are the host names and addresses under which devices reach it, the first is the one they are given."""
    _check_domain(domain)
    _check_listen(listen)
    if (folder / "deployment.toml").exists():
        raise DeploymentError(f"{folder}: there is a deployment already; nothing was changed")
    if folder.exists() and any(folder.iterdir()):
        raise DeploymentError(f"{folder}: expected an empty folder, or none; a deployment is only made into a new one")
    authority = Authority.create(files.folder(folder, 0o700) / "ca", domain)
    made = Deployment(folder.resolve(), domain, names[0] if names else "localhost", listen, ports or Ports())
    hosts = list(dict.fromkeys([*names, *LOCAL_NAMES]))
    _make_server(made, authority, hosts)
    _make_broker(made, authority, hosts)
    made.apply()
    return made


def load(folder: Path) -> Deployment:
    """Open a deployment; DeploymentError says what is wrong with its folder."""
    path = folder / "deployment.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        ports = Ports(**{name: _of(int, port) for name, port in table["ports"].items()})
        domain, host, listen = (_of(str, table[name]) for name in ("domain", "host", "listen"))
        return Deployment(folder.resolve(), domain, host, listen, ports)
    except OSError as error:
        raise DeploymentError(
            f"{path}: expected a deployment, got: {error.strerror}; make one: zhilu provision ca {folder} --domain …"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DeploymentError(f"{path}: expected domain, host, listen and [ports], got: {error}") from error


def _of(kind: type[_T], value: object) -> _T:
    """The value when it is of this type; TypeError otherwise."""
    if type(value) is not kind:
        raise TypeError(f"{kind.__name__} instead of {type(value).__name__}")
    return value


def _user() -> str | None:
    """Whoever makes the deployment owns its files; in some containers that is a number without a name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return None


def _check_domain(domain: str) -> None:
    try:
        note.check_name(domain)
    except NoteError as error:
        raise BadName(f"domain: {error}") from error
    if "/" in domain or not domain.isascii() or len(domain) > MAX_NAME:
        raise BadName(
            f"domain: expected a name such as evidence.example.gov, up to {MAX_NAME} characters without a slash, got {domain[:80]!r}"
        )


def _check_listen(listen: str) -> None:
    try:
        ipaddress.ip_address(listen)
    except ValueError:
        raise BadName(f"listen: expected an address of this machine such as 0.0.0.0 or 192.0.2.1, got {listen[:80]!r}") from None


def _make_server(made: Deployment, authority: Authority, names: Sequence[str]) -> None:
    tls = files.folder(made.server_folder / "tls")
    files.write(tls / "ca.crt", authority.certificate_pem)
    files.write(tls / "crl.pem", authority.crl_pem)
    issued = authority.server(names[0], names)
    files.write(tls / "server.key", issued.key, files.PRIVATE)
    files.write(tls / "server.crt", issued.certificate)
    towards_broker = authority.client(broker.SERVER_USER)
    files.write(tls / "mqtt.key", towards_broker.key, files.PRIVATE)
    files.write(tls / "mqtt.crt", towards_broker.certificate)
    files.folder(made.server_folder / "enrolments")
    folder = files.folder(made.server_folder / "keys", 0o700)
    for purpose in keys.SERVER_KEYS:
        keys.create(folder / f"{purpose}.key")
    vkeys = made.vkeys()
    files.write(made.keys_file, "".join(f"{vkeys[purpose]}\n" for purpose in keys.FOR_EXPERTS))


def _make_broker(made: Deployment, authority: Authority, names: Sequence[str]) -> None:
    folder = files.folder(made.broker_folder)
    issued = authority.server(names[0], names)
    files.write(folder / "broker.key", issued.key, files.PRIVATE)
    files.write(folder / "broker.crt", issued.certificate)
    files.write(folder / "ca.crt", authority.certificate_pem)
    files.write(folder / "crl.pem", authority.crl_pem)
