"""Third-party files for the browser: which file of which npm package is served under which name.

They come by `npm ci` at set-up and are served from `node_modules` as they are; nothing is committed or fetched from elsewhere.
"""

from __future__ import annotations

from pathlib import Path

FILES: dict[str, str] = {
    "htmx.js": "htmx.org/dist/htmx.min.js",
    "hls.js": "hls.js/dist/hls.min.js",
    "leaflet.js": "leaflet/dist/leaflet.js",
    "leaflet.css": "leaflet/dist/leaflet.css",
    "uplot.js": "uplot/dist/uPlot.iife.min.js",
    "uplot.css": "uplot/dist/uPlot.min.css",
}
"""name below /vendor → path below node_modules."""

FOLDER = Path(__file__).parents[2] / "node_modules"


def path(name: str) -> Path | None:
    """The file of a name, or None when there is no such name or set-up has not brought it."""
    target = FOLDER / FILES[name] if name in FILES else None
    return target if target is not None and target.is_file() else None


def missing() -> list[str]:
    """Names whose files are not there: what `make setup` still has to bring."""
    return [name for name in FILES if path(name) is None]
