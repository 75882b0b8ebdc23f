"""The API's own metrics, as Prometheus' text."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from stentor.api.meter import BOUNDS, ApiMeter
from stentor.runtime.metrics import build_info, render
from stentor.runtime.plain_http import PlainPage


async def api_page(meter: ApiMeter) -> PlainPage:
    """All of them, as they are now."""
    return render(lambda: _collect(meter))


def _collect(meter: ApiMeter) -> Iterable[Metric]:
    yield build_info("api")
    answers = CounterMetricFamily(
        "stentor_api_requests", "Requests that were answered.", labels=("operation", "status")
    )
    for (operation, status), count in meter.answers.items():
        answers.add_metric((operation, str(status)), count)
    yield answers
    durations = HistogramMetricFamily(
        "stentor_api_request_seconds", "Seconds until an answer began.", labels=("operation",)
    )
    for operation, buckets in meter.durations.items():
        bounds = [*map(str, BOUNDS), "+Inf"]
        durations.add_metric(
            (operation,), list(zip(bounds, accumulate(buckets), strict=True)), sum_value=meter.seconds[operation]
        )
    yield durations
