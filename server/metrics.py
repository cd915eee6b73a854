"""Counts and gauges, and their text for Prometheus (exposition format 0.0.4).

Every metric has a row in `METRICS`; a name that is not there is a mistake and raises. At most one label each.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric is: `counter` or `gauge`, its help text, its label's name or none."""

    kind: str
    text: str
    label: str = ""


METRICS = {
    "zhilu_batches_total": Metric("counter", "Batches of journal lines by what became of them", "outcome"),
    "zhilu_lines_total": Metric("counter", "Journal lines admitted"),
    "zhilu_refused_total": Metric("counter", "Messages refused, by reason", "reason"),
    "zhilu_commits_total": Metric("counter", "Commits of admitted batches"),
    "zhilu_cosigned_total": Metric("counter", "Cosignatures given"),
    "zhilu_states_total": Metric("counter", "Status, health and reported states taken in", "topic"),
    "zhilu_media_bytes_total": Metric("counter", "Bytes of media that were stored"),
    "zhilu_media_total": Metric("counter", "Fragments offered, by what became of them", "outcome"),
    "zhilu_recordings_total": Metric("counter", "Recordings by what happened to them", "event"),
    "zhilu_lines_without_effect_total": Metric("counter", "Admitted lines that the catalogue could not follow", "why"),
    "zhilu_receipts_total": Metric("counter", "Receipts handed to the broker"),
    "zhilu_problems_total": Metric("counter", "HTTP errors answered, by problem type", "problem"),
    "zhilu_daemon_errors_total": Metric("counter", "Unexpected errors that a daemon survived", "daemon"),
    "zhilu_broker_connected": Metric("gauge", "1 while the broker is connected"),
    "zhilu_ledger_lines": Metric("gauge", "Lines of the ledger"),
    "zhilu_unindexed_journals": Metric("gauge", "Journals with admitted lines that the catalogue has not read yet"),
    "zhilu_queue_bytes": Metric("gauge", "Bytes of batches that wait for a commit"),
}


class Metrics:
    """The process's counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, dict[str, int]] = {name: {} for name, one in METRICS.items() if one.kind == "counter"}
        self._gauges: dict[str, Callable[[], int]] = {}

    def add(self, name: str, label: str = "", amount: int = 1) -> None:
        """Count something."""
        counts = self._counts[name]
        with self._lock:
            counts[label] = counts.get(label, 0) + amount

    def gauge(self, name: str, read: Callable[[], int]) -> None:
        """Have a gauge read whenever somebody asks."""
        if METRICS[name].kind != "gauge":
            raise KeyError(name)
        self._gauges[name] = read

    def value(self, name: str, label: str = "") -> int:
        """A count or a gauge as it stands; 0 where nothing was counted."""
        return self._counts[name].get(label, 0) if name in self._counts else self._gauges[name]()

    def text(self) -> str:
        """Everything, as Prometheus reads it."""
        out: list[str] = []
        for name, metric in METRICS.items():
            out += [f"# HELP {name} {metric.text}", f"# TYPE {name} {metric.kind}"]
            if name in self._gauges:
                out.append(f"{name} {self._gauges[name]()}")
            with self._lock:
                counts = dict(self._counts.get(name, {}))
            if not metric.label and name in self._counts:
                counts.setdefault("", 0)
            out += [f'{name}{{{metric.label}="{label}"}} {n}' if metric.label else f"{name} {n}" for label, n in sorted(counts.items())]
        return "\n".join(out) + "\n"
