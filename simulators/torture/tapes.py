"""A server's run on a tape: every change of its data folder, every sync, and everything that it told, in order.

Rules:
- A change is noted before it is done, a sync behind it, what is told before it leaves: the tape may only be stricter than the run.
- A tape needs no disk to be cut: `cuts` says what may be left after each step, `papercuts` judges that.
- What SQLite shares between processes (`-shm`) is memory, and no part of a disk.
"""

from __future__ import annotations

import pickle  # what is read with it was written a moment ago by a child of ours
import threading
from dataclasses import dataclass, field
from pathlib import Path

from simulators.torture.kernel import ROOT, Image, Step, Tape, Tree
from simulators.torture.points import SHARED, Act


@dataclass(frozen=True, slots=True)
class Message:
    """What was told: `kind` publish or answer, `what` the topic, or status and path."""

    kind: str
    what: str
    text: str


@dataclass(slots=True)
class Run:
    """A whole run; `image` is the disk on which it began, `end` what was there behind it. A `tell` names its message by number."""

    image: Image
    tape: Tape = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    end: Image = field(default_factory=Image)

    @classmethod
    def load(cls, path: Path) -> Run:
        """Read what `Recorder.save` wrote."""
        found = pickle.loads(path.read_bytes())  # noqa: S301 — see above
        assert isinstance(found, cls)
        return found


def image_of(folder: Path) -> Image:
    """The folder as it is."""
    files: dict[str, bytes] = {}
    folders: set[str] = set()
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_dir():
            folders.add(name)
        elif not name.endswith(SHARED):
            files[name] = path.read_bytes()
    return Image(files, frozenset(folders))


class Recorder:
    """Writes the tape; a `Watch`. From any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        image = image_of(folder)
        self._run = Run(image)
        self._tree = Tree.of(image)
        self._next = self._tree.next_number()
        self._lock = threading.Lock()

    def save(self, path: Path) -> None:
        """Write it down, with the folder as it is now."""
        self._run.end = image_of(self._folder)
        path.write_bytes(pickle.dumps(self._run))

    def before(self, act: Act) -> bool:
        """Note a change, or what is told."""
        with self._lock:
            if act.kind in ("create", "folder"):
                self._made(act)
            elif act.kind in ("write", "truncate"):
                self._note(Step(act.kind, self._number(act.path), act.names[0], offset=act.offset, data=act.data))
            elif act.kind == "rename":
                self._renamed(act)
            elif act.kind == "delete":
                self._deleted(act)
            elif act.kind in ("publish", "answer"):
                self._note(Step("tell", site=act.names[0], name=str(len(self._run.messages))))
                self._run.messages.append(Message(act.kind, act.what, act.data.decode("utf-8", "replace")))
        return True

    def after(self, act: Act) -> None:
        """Note a sync."""
        with self._lock:
            if act.kind == "sync" and act.path.is_dir():
                self._synced(act.path, act.names[0], folder=True)
            elif act.kind in ("sync", "delete"):
                if act.kind == "sync":
                    self._synced(act.path, act.names[0], folder=False)
                if act.folder:
                    self._synced(act.path.parent, f"{act.names[0]}, its name", folder=True)

    # ----------------------------------------------------------------- steps

    def _note(self, step: Step) -> None:
        self._run.tape.append(step)

    def _number(self, path: Path) -> int:
        number = ROOT
        for part in path.relative_to(self._folder).parts:
            number = self._tree.folders[number][part]
        return number

    def _made(self, act: Act) -> None:
        parent, number, is_folder = self._number(act.path.parent), self._next, act.kind == "folder"
        self._next += 1
        if is_folder:
            self._tree.folders[number] = {}
        self._tree.folders[parent][act.path.name] = number
        self._note(Step("link", parent, act.names[0], name=act.path.name, child=number, folder=is_folder))

    def _renamed(self, act: Act) -> None:
        parent = self._number(act.path.parent)
        names = self._tree.folders[parent]
        child = names[act.what] = names.pop(act.path.name)
        self._note(Step("rename", parent, act.names[0], name=act.path.name, child=child, to=parent, new_name=act.what))

    def _deleted(self, act: Act) -> None:
        parent = self._number(act.path.parent)
        child = self._tree.folders[parent].pop(act.path.name, None)
        if child is not None:  # SQLite also deletes what is not there
            self._note(Step("unlink", parent, act.names[0], name=act.path.name, child=child))

    def _synced(self, path: Path, name: str, *, folder: bool) -> None:
        self._note(Step("sync", self._number(path), name, by="sync", name="itself", folder=folder))
