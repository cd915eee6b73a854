"""Opens a package wherever it lies: a folder, or a .zip of one."""

from __future__ import annotations

import stat
from pathlib import Path

from .bag import Bag, FolderBag
from .errors import NotAPackageError
from .zipbag import ZipBag


def open_bag(path: str) -> Bag:
    """The package at a path; NotAPackageError when there is none, UnreadableError when the machine refuses."""
    place = Path(path)
    try:
        mode = place.stat().st_mode
    except (OSError, ValueError) as e:
        raise NotAPackageError(f"{path}: expected a package's folder or .zip, got: {getattr(e, 'strerror', None) or e}") from e
    bag: Bag
    if stat.S_ISDIR(mode):
        bag = FolderBag(place)
    elif stat.S_ISREG(mode):
        bag = ZipBag(place)
    else:
        raise NotAPackageError(f"{path}: neither a folder nor a file")
    if not {"bagit.txt", "data/recording.json"} & set(bag.files):
        bag.close()
        raise NotAPackageError(f"{path}: neither bagit.txt nor data/recording.json is in it: not a package")
    return bag
