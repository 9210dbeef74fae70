"""Figures for Prometheus: what this process counted, and what the database holds at the moment.

A label is a policy's name, a state, a route, a producer's name: never content, never an id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from hitl.errors import HitlError

# Seconds. The webhook has to answer within .1, a push of 10,000 rows takes some seconds.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a metric. All figures of one name have the same labels and help."""

    name: str
    help: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["gauge", "counter"] = "gauge"


Figures = Callable[[], Iterable[Figure]]


class Metrics:
    """One app's metrics. `sources` are asked at every scrape; one that cannot answer is left out.

    `hitl_figures_up` says which of them could: a scrape succeeds while Postgres is away.
    """

    def __init__(self, sources: Mapping[str, Figures]) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._sources = sources
        self._registry.register(self)
        self._seconds = Histogram(
            "hitl_http_request_seconds",
            "How long requests took.",
            ("method", "route", "status"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self.rows = Counter(
            "hitl_pushed_rows",
            "Rows that producers pushed, by what became of them.",
            ("producer", "kind", "outcome"),
            registry=self._registry,
        )

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        known = method if method in ("GET", "POST") else "other"
        self._seconds.labels(known, route, str(status)).observe(seconds)

    def exposition(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """What the sources say now, for the registry."""
        up = GaugeMetricFamily("hitl_figures_up", "1 where a source answered.", labels=["source"])
        found: dict[str, Metric] = {}
        for name, source in self._sources.items():
            try:
                for figure in source():
                    _add(found, figure)
                up.add_metric([name], 1)
            except HitlError:
                up.add_metric([name], 0)
        yield up
        yield from found.values()


def _add(found: dict[str, Metric], figure: Figure) -> None:
    family = found.get(figure.name)
    if family is None:
        made = GaugeMetricFamily if figure.kind == "gauge" else CounterMetricFamily
        family = found[figure.name] = made(figure.name, figure.help, labels=list(figure.labels))
    family.add_metric(list(figure.labels.values()), figure.value)  # type: ignore[attr-defined]
