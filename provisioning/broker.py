"""The broker's settings: mosquitto with mutual TLS, where a device can touch its own topics and nothing else.

Rules:
- The user name is the certificate's common name, and so is the client id (`use_username_as_clientid`): nobody takes over another's
  session, whatever it says in CONNECT.
- What a device may do is written once, as patterns over its id; docs and agents name the same topics.
- A queue is bounded in bytes, not in messages (by default mosquitto drops silently behind the 1,000th). Beyond the bound it drops too:
  devices send again what was not cosigned.
- The broker keeps sessions and retained messages over a restart; nothing relies on it (docs/architecture: the broker is a dumb pipe).

A publish that is denied is answered with 0x87 under MQTT 5 (Debian's 2.0.11 then ends the session) and silently dropped under 3.1.1. A
subscription to another's topic is granted and delivers nothing. A revocation list is read again on SIGHUP and does not end sessions that
run.
"""

from __future__ import annotations

from pathlib import Path

SERVER_USER = "zhilu-server"
RESERVED_PREFIX = "zhilu-"
"""No device id may begin so: these are the deployment's own names on the broker."""

DEVICE_WRITES = ("journal", "status", "health", "reported")
DEVICE_READS = ("witness", "receipt", "desired", "command")

MAX_PACKET_BYTES = 131_072
"""Twice the largest batch: notes and proofs are smaller, and nobody else has anything to say."""
MAX_QUEUED_BYTES = 64 * 1_048_576
"""For each client that is away or slow: a thousand full batches."""
AUTOSAVE_CHANGES = 100


def acl() -> str:
    """Return the access list: patterns for the devices, everything of ours for the server."""
    writes = [f"pattern write zhilu/%u/{leaf}" for leaf in DEVICE_WRITES]
    reads = [f"pattern read zhilu/%u/{leaf}" for leaf in DEVICE_READS]
    lines = [
        "# A device: its own topics, by the name in its certificate.",
        *writes,
        *reads,
        "pattern read zhilu/ledger",
        "",
        "# The server.",
        f"user {SERVER_USER}",
        "topic readwrite zhilu/#",
    ]
    return "\n".join(lines) + "\n"


def config(folder: Path, host: str, port: int, user: str | None) -> str:
    """Return mosquitto.conf for a broker's folder (certificates, list, data).

    `user` is whom it runs as when root starts it, and must own the folder; None leaves that to mosquitto.
    """
    at = folder.resolve()
    lines = [
        "# Written by provisioning; changes are lost when it writes again.",
        f"listener {port} {host}",
        f"cafile {at}/ca.crt",
        f"certfile {at}/broker.crt",
        f"keyfile {at}/broker.key",
        f"crlfile {at}/crl.pem",
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",
        "allow_anonymous false",
        f"acl_file {at}/acl.txt",
        f"max_packet_size {MAX_PACKET_BYTES}",
        "max_queued_messages 0",
        f"max_queued_bytes {MAX_QUEUED_BYTES}",
        "persistent_client_expiration 60d",
        "set_tcp_nodelay true",
        "persistence true",
        f"persistence_location {at}/data/",
        "autosave_on_changes true",
        f"autosave_interval {AUTOSAVE_CHANGES}",
        *([f"user {user}"] if user else []),
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
    ]
    return "\n".join(lines) + "\n"
