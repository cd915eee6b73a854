"""Puts the server together: the line from the broker to the catalogue, and two applications over it.

Devices come in by mutual TLS and see only their own (`device`); people come to the console, on this machine only while there is no
login (`console`). Both run in one process; the pages of `server.console` are taken in where they are installed.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import FastAPI

from agent.core import wire
from server import description, problems
from server.api import operations, packages, playback, recordings
from server.api.looks import Looks
from server.api.source import vkeys
from server.browsers import OwnPages
from server.config import Settings
from server.daemons import Daemons
from server.ingest import handshake, indexer, media
from server.ingest.committer import Committer
from server.ingest.enrolments import Intake
from server.ingest.listener import Listener
from server.ingest.receipts import Receipts
from server.services import Services, open_services

ENROLMENT_TICK_S = 1.0


@dataclass(frozen=True, slots=True)
class Line:
    """The parts that run: broker's side, commits, catalogue, and the threads between them."""

    services: Services
    listener: Listener
    committer: Committer
    indexer: indexer.Indexer
    intake: Intake
    daemons: Daemons


@dataclass(frozen=True, slots=True)
class Apps:
    """The two applications."""

    device: FastAPI
    console: FastAPI


@contextlib.contextmanager
def open_line(settings: Settings) -> Iterator[Line]:
    """Open the data folder and run ingest; on leaving nothing that was cosigned is lost."""
    with open_services(settings) as services, Daemons(services.metrics) as daemons:
        committer = Committer(
            services.logs_writer,
            services.logs,
            services.ledger,
            services.enrolments,
            services.witness,
            settings.ingest,
            services.metrics,
        )
        listener = Listener(settings.broker, settings.folder, committer.offer, services.devices, services.world.now_ms, services.metrics)
        receipts = Receipts(services.ledger, services.catalogue, listener.publish, services.metrics)
        reading = indexer.Indexer(services, receipts)
        _connect(services, listener, committer, reading)
        intake = Intake(settings.path("enrolments"), settings.domain, services.enrolments, services.logs_writer)
        intake.step()
        daemons.every("enrolments", ENROLMENT_TICK_S, intake.step)
        daemons.every("anchors", settings.ledger.anchor_s, services.ledger.anchor)
        daemons.whenever("indexer", reading.news, indexer.IDLE_S, reading.step)
        listener.start()
        try:
            yield Line(services, listener, committer, reading, intake, daemons)
        finally:
            listener.close()


def _connect(services: Services, listener: Listener, committer: Committer, reading: indexer.Indexer) -> None:
    """Who tells whom."""

    def beacon(checkpoint: str) -> None:
        listener.publish(wire.LEDGER_TOPIC, checkpoint.encode(), retain=True)

    committer.answer_with(listener.answer)
    committer.subscribe(reading.grown)
    services.ledger.subscribe(beacon)
    listener.on_connected(lambda: beacon(services.ledger.checkpoint()))
    listener.on_online(reading.online)


def build(line: Line) -> Apps:
    """The applications over a line that runs."""
    services = line.services
    checks = {
        "broker": lambda: line.listener.connected,
        "logs": lambda: services.logs_writer.alive,
        "catalogue": lambda: services.catalogue_writer.alive,
        "daemons": lambda: line.daemons.alive,
    }
    device = _application("Zhilu for devices", services, "no-certificate")
    device.include_router(media.router(services, line.indexer))
    device.include_router(handshake.router(services, line.intake))
    console = _application("Zhilu", services, "other-site", "other-host")
    looks = Looks(services.ledger)
    console.include_router(recordings.router(services, looks))
    console.include_router(playback.router(services, looks))
    console.include_router(packages.router(services, looks))
    console.include_router(operations.router(services.metrics, checks))
    _mount_pages(console, services)
    console.add_middleware(OwnPages, metrics=services.metrics)
    return Apps(device, console)


def _application(title: str, services: Services, *anywhere: str) -> FastAPI:
    made = FastAPI(title=title, version="1", docs_url=None, redoc_url=None)
    problems.install(made, services.metrics)
    description.install(made, anywhere)
    return made


def _mount_pages(console: FastAPI, services: Services) -> None:
    """The console's pages, where they are installed: without them the API stands alone."""
    if importlib.util.find_spec("server.console") is None or importlib.util.find_spec("server.console.pages") is None:
        return
    from server.console import pages

    sources = pages.Sources(services.catalogue, services.logs, services.ledger, services.enrolments, vkeys(services))
    shown = pages.Pages(sources)
    console.include_router(pages.router(shown))
    problems.show_in(console, shown.problem)
