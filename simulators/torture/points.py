"""Where a server's process changes its disk, syncs it, commits, and tells somebody: found while it runs, listed nowhere.

`install` puts a watch into the way of the system calls that touch the data folder (`os`, and SQLite's through `vfs`), of commits,
of what goes to the broker and of what HTTP takes and answers. Each is an `Act`; its name says what, of which file or topic, and
who in the server decided it.

Not seen: what a library writes past `os` and SQLite. The tape's test holds what was seen against the files that are there.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import paho.mqtt.client as paho
from fastapi import FastAPI
from sqlalchemy.engine.default import DefaultDialect

from server.database import Writer
from server.ingest.listener import Listener
from simulators.torture import vfs
from simulators.torture.kernel import role

T = TypeVar("T")
WAL_HEADER = 32
SHARED = "-shm"
CALLERS = 2
SENT_S = 5.0
"""How long the broker is given to acknowledge a publication before a death behind it."""
LIBRARY_THREAD = "paho-mqtt-client-"


@dataclass(frozen=True, slots=True)
class Act:
    """Something that the server does.

    `kind`: create, folder, write, truncate, sync, rename, delete, commit, publish, answer, body. `names` are its points: one for
    each stage of a commit, else one. `what` is a topic, status and path of a request, or a new name in the same folder. `folder`:
    a folder is synced (too).
    """

    kind: str
    names: tuple[str, ...]
    path: Path = Path()
    offset: int = 0
    data: bytes = b""
    what: str = ""
    folder: bool = False


class Watch(Protocol):
    """Who is asked. `before` says whether the act may be done; one that may not answers as if it had been."""

    def before(self, act: Act) -> bool: ...

    def after(self, act: Act) -> None: ...


class Points:
    """The hooks; one to a process."""

    def __init__(self, folder: Path, watch: Watch) -> None:
        self._folder, self._watch = folder, watch
        self._own = threading.local()
        self._unsynced: dict[Path, set[str]] = {}

    def install(self) -> None:
        """Put them into the server's way."""
        vfs.install(self._database)
        real_open = os.open
        setattr(os, "open", lambda *a, **n: self._opened(real_open, a, n))  # noqa: B010 — of another module
        for name, kind in (("mkdir", "folder"), ("pwrite", "write"), ("fsync", "sync"), ("fdatasync", "sync")):
            setattr(os, name, self._wrapped(kind, getattr(os, name)))
        for name, kind in (("replace", "rename"), ("rename", "rename"), ("unlink", "delete")):
            setattr(os, name, self._named(kind, getattr(os, name)))
        commit, attempt, publish, serve = DefaultDialect.do_commit, Writer._attempt, Listener.publish, FastAPI.__call__  # noqa: SLF001
        setattr(DefaultDialect, "do_commit", lambda dialect, c: self._around(self._commit(), partial(commit, dialect, c)))  # noqa: B010
        setattr(Writer, "_attempt", lambda writer, c, jobs: self._staged(writer, jobs, lambda: attempt(writer, c, jobs)))  # noqa: B010
        setattr(Listener, "publish", lambda *a, **n: self._published(publish, *a, **n))  # noqa: B010

        async def served(app: FastAPI, scope: Any, receive: Any, send: Any) -> None:  # uvicorn tells by `async` what kind it is
            await self._served(serve, app, scope, receive, send)

        setattr(FastAPI, "__call__", served)  # noqa: B010
        hand_over = paho.Client.publish
        setattr(paho.Client, "publish", lambda *a, **n: self._kept(hand_over(*a, **n)))  # noqa: B010

    def _around(self, act: Act, call: Callable[[], T], instead: Any = None) -> T:
        if not self._watch.before(act):
            return instead  # type: ignore[no-any-return]
        answer = call()
        self._watch.after(act)
        return answer

    def _inside(self, path: Path) -> str:
        """The path below the data folder, with `*` for names that stand for many; empty outside."""
        return role(path.relative_to(self._folder).parts) or "." if path.is_relative_to(self._folder) else ""

    # ----------------------------------------------------------------- files

    def _opened(self, call: Callable[..., int], arguments: Sequence[Any], named: dict[str, Any]) -> int:
        path = Path(arguments[0]) if isinstance(arguments[0], (str, Path)) else Path()
        if not arguments[1] & os.O_CREAT or not self._inside(path) or path.exists():
            return call(*arguments, **named)
        return self._around(Act("create", (f"create {self._inside(path)}",), path), lambda: call(*arguments, **named))

    def _named(self, kind: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """A call that changes a name; what SQLite shares between processes is memory, and no file of ours."""

        def wrapped(first: Any, *rest: Any, **named: Any) -> Any:
            path = Path(first)
            inside = self._inside(path)
            if not inside or inside.endswith(SHARED) or not path.exists():
                return call(first, *rest, **named)
            what = Path(rest[0]).name if kind == "rename" else ""
            return self._around(Act(kind, (f"{kind} {inside} in {_site()}",), path, what=what), lambda: call(first, *rest, **named))

        return wrapped

    def _wrapped(self, kind: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(first: Any, *rest: Any, **named: Any) -> Any:
            path = Path(first) if kind == "folder" else Path(f"/proc/self/fd/{first}").readlink()
            inside = self._inside(path)
            if not inside or (kind == "folder" and path.exists()):
                return call(first, *rest, **named)
            is_folder = kind in ("folder", "sync") and (kind == "folder" or path.is_dir())
            name = f"{kind} {inside} in {_site()}"
            data, offset = (bytes(rest[0]), rest[1]) if kind == "write" else (b"", 0)
            return self._around(Act(kind, (name,), path, offset, data, folder=is_folder), lambda: call(first, *rest, **named))

        return wrapped

    def _database(self, call: vfs.Call, do: Callable[[], int]) -> int:
        inside = self._inside(call.path)
        if not inside:
            return do()
        parts = self._unsynced.setdefault(call.path, set())
        part = _part(call, parts)
        name = f"{call.kind} {inside}{part} in {_site()}"
        if call.kind == "sync":
            parts.clear()
        else:
            parts.add(part)
        return self._around(Act(call.kind, (name,), call.path, call.offset, call.data, folder=call.folder), do, 0)

    # ----------------------------------------------------------------- commits

    def _staged(self, writer: Writer, jobs: Sequence[Any], call: Callable[[], T]) -> T:
        """Remember whose stages this transaction has, for the commit in the same thread."""
        name = writer._thread.name  # noqa: SLF001 — there is no other way to learn it
        stages = {f"{stage.__module__}:{stage.__qualname__.replace('.<locals>.<lambda>', '')}" for stage, _ in jobs}
        self._own.names = tuple(f"commit {name}: {stage}" for stage in sorted(stages))
        try:
            return call()
        finally:
            self._own.names = ()

    def _commit(self) -> Act:
        return Act("commit", getattr(self._own, "names", ()))

    # ----------------------------------------------------------------- telling

    def _published(self, call: Callable[..., bool], listener: Listener, topic: str, payload: bytes, *, retain: bool) -> bool:
        act = Act("publish", (f"publish {role(tuple(topic.split('/')))}",), data=payload, what=topic)
        return self._around(act, lambda: call(listener, topic, payload, retain=retain), instead=False)

    def _kept(self, info: paho.MQTTMessageInfo) -> paho.MQTTMessageInfo:
        self._own.info = info
        return info

    def let_leave(self) -> None:
        """Wait until the broker has what this thread published last; its own thread can't wait for itself."""
        info = getattr(self._own, "info", None)
        if info is not None and not threading.current_thread().name.startswith(LIBRARY_THREAD):
            info.wait_for_publish(SENT_S)

    async def _served(self, call: Callable[..., Any], app: FastAPI, scope: Any, receive: Any, send: Any) -> None:
        """Pieces of a body as they come, the answer as it goes."""
        if scope["type"] != "http":
            await call(app, scope, receive, send)
            return
        started: list[Any] = []

        def named(what: str) -> str:
            route = scope.get("route")
            return f"{what} {scope['method']} {getattr(route, 'path', '?')}"

        async def received() -> Any:
            message = await receive()
            if message["type"] == "http.request" and scope["method"] == "PUT":
                act = Act("body", (named("body of"),), data=message.get("body", b""), what=scope["path"])
                self._watch.before(act)
                self._watch.after(act)
            return message

        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                started.append(message)
                return
            if not started:
                await send(message)
                return
            status = started[0]["status"]
            act = Act("answer", (named(f"answer {status} to"),), data=message.get("body", b""), what=f"{status} {scope['path']}")
            self._watch.before(act)
            await send(started.pop())
            await send(message)
            for _ in range(2):
                await asyncio.sleep(0)  # the loop writes what it was given, TLS first
            self._watch.after(act)

        await call(app, scope, received, sent)


def _part(call: vfs.Call, unsynced: set[str]) -> str:
    """Which part of a WAL: its header, frames; of a sync what it is for."""
    if not call.path.name.endswith("-wal"):
        return ""
    if call.kind == "write":
        return " header" if call.offset < WAL_HEADER else " frames"
    if call.kind == "sync":
        return " frames" if " frames" in unsynced else " header" if unsynced else " once more"
    return ""


def _site() -> str:
    """The server's innermost function on the stack and who called it, as module:function of module:function."""
    frame: Any = sys._getframe(2)  # noqa: SLF001 — the call site is what a point is named by
    found: list[str] = []
    while frame is not None and len(found) < CALLERS:
        name = frame.f_globals.get("__name__", "")
        if name.startswith("server."):
            found.append(f"{name}:{frame.f_code.co_qualname}")
        frame = frame.f_back
    return " of ".join(found)
