"""The media intake over HTTP: devices put whole fragments, and ask what is held.

201 stored, 200 held already, 408, 409 no cosigned line names these bytes yet, 413, 422 naming the fragment that does not match, 429, 507.

A request that takes long is made durable bit by bit, and one whose sender has gone silent ends: what was checked counts either way,
and who asks what is held hears of it. Of a recording that is stored they get the receipt once more: it may have been lost on its way.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from server import description
from server.config import Media
from server.errors import Unknown
from server.ingest.indexer import Indexer
from server.ingest.intake import Upload
from server.problems import Problem
from server.services import Services
from server.store.catalogue import Fragment, Recording, Track
from server.store.shelf import MAX_TRACK_BYTES
from server.tls import own_device

CHUNK = 1 << 20
"""Bytes that are gathered before a thread is asked to hash and write them."""
SETTLE_S = 5.0
"""How long fragments of a request that goes on may wait to be durable."""
AT_ONCE = 16
"""Requests of one device: twice what an agent's settings allow. Each may keep a fragment in memory that has not come whole."""
INDEX_WAIT_S = 5.0
INDEX_LOOK_S = 0.02
DIGESTS: dict[str, Callable[[], Any]] = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
Offset = Annotated[int, Path(ge=0, le=MAX_TRACK_BYTES)]
_OWN = ("no-certificate", "not-yours", "revoked", "unknown-origin")
_HELD = description.problems(*_OWN, "not-found", "ambiguous")
_PUT = {200: {"description": "All of it was held already"}} | description.problems(
    *_OWN, "bad-digest", "digest-mismatch", "silent", "not-named", "ambiguous", "too-large", "mismatch", "busy"
)
_BYTES = description.takes("Whole fragments, one behind the other", "application/octet-stream")
_DIGEST = re.compile(r"([a-z0-9*][a-z0-9_.*-]*)=:([A-Za-z0-9+/=]*):")


def router(services: Services, indexer: Indexer) -> APIRouter:
    """The routes below /api/v1/media."""
    made = APIRouter(prefix="/api/v1/media", tags=["media"])
    running: Counter[str] = Counter()

    @made.get("/{device}/{recording}", responses=_HELD)
    def held(request: Request, device: str, recording: str) -> dict[str, Any]:
        """What the journal names and what is held, per track; `held` lists ranges [first, end) of `seq`."""
        known_device(services, own_device(request, device))
        found = services.catalogue.find(f"{device}:{recording}")
        tracks = [shown(track, services.catalogue.fragments(track.id)) for track in services.catalogue.tracks(found.id)]
        indexer.asked(found)
        return {"device": device, "recording": found.recording, "state": found.state, "tracks": tracks}

    @made.put("/{device}/{recording}/{track}/{offset}", status_code=201, responses=_PUT, openapi_extra=_BYTES)
    async def put(request: Request, device: str, recording: str, track: str, offset: Offset) -> JSONResponse:
        """Whole fragments from byte `offset` of the track on."""
        known_device(services, own_device(request, device))
        limit = services.settings.media.request_bytes
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > limit:
            raise Problem("too-large", f"a request brings at most {limit} bytes, got {length[:40]}")
        digests = content_digest(request.headers.get("content-digest"))
        with _one_of(running, device):
            upload = await begin(services, indexer, device, recording, track, offset)
            new = await _receive(request, upload, services.settings.media, digests, indexer)
        first, last = upload.checked[0], upload.checked[-1]
        answer = {"track": track, "first": first.seq, "end": last.seq + 1, "bytes": last.offset + last.bytes - first.offset, "stored": new}
        return JSONResponse(answer, 201 if new else 200)

    return made


@contextlib.contextmanager
def _one_of(running: Counter[str], device: str) -> Iterator[None]:
    """Count a request of a device; Problem where it has too many already."""
    if running[device] >= AT_ONCE:
        raise Problem("busy", f"{device} has {AT_ONCE} requests on their way already")
    running[device] += 1
    try:
        yield
    finally:
        running[device] -= 1
        if not running[device]:
            del running[device]


async def _receive(request: Request, upload: Upload, limits: Media, digests: list[tuple[Any, bytes]], indexer: Indexer) -> int:
    """Stream the body through the upload; how many fragments are new. What was checked is held, however it ends."""
    new = 0
    try:
        async for _ in _settling(_pieces(request, limits), upload, digests):
            new += await asyncio.to_thread(upload.settle)
        await asyncio.to_thread(upload.finish)
        _check_digests(digests)
        new += await asyncio.to_thread(upload.settle)
    except Problem:
        new += await asyncio.to_thread(upload.settle)
        raise
    except BaseException:
        await asyncio.to_thread(upload.abandon)
        raise
    finally:
        if new:
            indexer.held()
    return new


async def _pieces(request: Request, limits: Media) -> AsyncIterator[bytes]:
    """The body as it comes; Problem where it is too long, or its sender silent or gone."""
    stream, total = aiter(request.stream()), 0
    while True:
        try:
            async with asyncio.timeout(limits.idle_s):
                piece = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Problem("silent", f"nothing came for {limits.idle_s} s, after {total} bytes") from None
        except ClientDisconnect:  # nobody hears it, but it is counted, and no error of ours
            raise Problem("silent", f"the sender hung up after {total} bytes") from None
        total += len(piece)
        if total > limits.request_bytes:
            raise Problem("too-large", f"a request brings at most {limits.request_bytes} bytes")
        yield piece


async def _settling(stream: AsyncIterator[bytes], upload: Upload, digests: list[tuple[Any, bytes]]) -> AsyncIterator[None]:
    """Feed the body to the upload; gives control back whenever it is time to make durable what has come."""
    pieces: list[bytes] = []
    waiting, clock = 0, asyncio.get_running_loop().time
    settle_at = clock() + SETTLE_S
    async for piece in stream:
        pieces.append(piece)
        waiting += len(piece)
        if waiting >= CHUNK or waiting >= upload.wanted > 0:
            await asyncio.to_thread(_feed, upload, b"".join(pieces), digests)
            pieces, waiting = [], 0
            if clock() >= settle_at:
                yield
                settle_at = clock() + SETTLE_S
    await asyncio.to_thread(_feed, upload, b"".join(pieces), digests)


def _check_digests(digests: list[tuple[Any, bytes]]) -> None:
    for running, expected in digests:
        if running.digest() != expected:
            raise Problem("digest-mismatch", f"expected {expected.hex()}, got {running.hexdigest()}")


def _feed(upload: Upload, data: bytes, digests: list[tuple[Any, bytes]]) -> None:
    for running, _ in digests:
        running.update(data)
    upload.feed(data)


async def begin(services: Services, indexer: Indexer, device: str, recording: str, track: str, offset: int) -> Upload:
    """The upload of these bytes; Problem `not-named` where no cosigned line names them.

    The line may have been cosigned a moment ago, so the catalogue is given time to read what the logs hold.
    """
    try:
        return await asyncio.to_thread(_begin, services, device, recording, track, offset)
    except Problem:
        sizes = {one.origin: services.logs.size(one.origin) for one in services.enrolments.of_device(device)}
    for _ in range(int(INDEX_WAIT_S / INDEX_LOOK_S)):
        if indexer.has_read(sizes):
            break
        await asyncio.sleep(INDEX_LOOK_S)
    return await asyncio.to_thread(_begin, services, device, recording, track, offset)


def _begin(services: Services, device: str, recording: str, track: str, offset: int) -> Upload:
    try:
        found: Recording = services.catalogue.find(f"{device}:{recording}")
        return Upload(services, found, services.catalogue.track(found.id, track), offset)
    except Unknown as e:
        raise Problem("not-named", str(e), track=track[:80], offset=offset) from e


def known_device(services: Services, device: str) -> None:
    """Problem unless the ledger lists a journal of the device that is not revoked."""
    journals = services.enrolments.of_device(device)
    if not journals:
        raise Problem("unknown-origin", f"the ledger lists no journal of {device}")
    if all(one.revoked is not None for one in journals):
        raise Problem("revoked", f"every journal of {device} was revoked")


def content_digest(value: str | None) -> list[tuple[Any, bytes]]:
    """Running digests with what they should become (RFC 9530); algorithms that are not known are ignored, of two the last counts."""
    found = {}
    for member in (value or "").split(",") if value else ():
        parts = _DIGEST.fullmatch(member.strip())
        if parts is None:
            raise Problem("bad-digest", f"expected algorithm=:base64:, got {member.strip()[:100]!r}")
        if parts[1] in DIGESTS:
            try:
                found[parts[1]] = (DIGESTS[parts[1]](), base64.b64decode(parts[2], validate=True))
            except binascii.Error as e:
                raise Problem("bad-digest", f"{parts[1]}: not base64") from e
    return list(found.values())


def shown(track: Track, fragments: list[Fragment]) -> dict[str, Any]:
    """A track as a device asks for it."""
    return {
        "track": track.track,
        "media": track.media,
        "fragments": track.fragments,
        "bytes": track.bytes,
        "held_bytes": track.held_bytes,
        "held": ranges([one.seq for one in fragments if one.held]),
        "missing": ranges([one.seq for one in fragments if not one.held and not one.lost]),
    }


def ranges(numbers: list[int]) -> list[list[int]]:
    """Ascending numbers as ranges [first, end)."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number:
            found[-1][1] += 1
        else:
            found.append([number, number + 1])
    return found
