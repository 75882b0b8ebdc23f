"""What a process has done and how it stands, as Prometheus' text: `/metrics` of a role, and of a supervisor for all.

Rules: nothing is counted for metrics' sake alone while messages are sent, the numbers that the stages keep anyway are
read when somebody asks; every label has few values (lane, role, stage, outcome, a provider's reasons), so a campaign's
id, an installation or an address is never one; a process has a registry of its own. `docs/metrics.md` lists all.
"""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import accumulate
from typing import TypeVar

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from stentor.audience.contract import NO_LANE
from stentor.errors import StentorError
from stentor.meter import Meter
from stentor.pipeline import Stage
from stentor.planning.worker import PlanWorker
from stentor.queue.contract import Depth
from stentor.recording.tally import BOUNDS, RecordTally
from stentor.runtime.health import Lookup, StoreContact
from stentor.runtime.plain_http import PlainPage
from stentor.sending.gate import Pass
from stentor.sending.sender import LaneSender
from stentor.version import __version__

UNROUTABLE = "none"
"""The label of those whom no configured lane serves."""

R = TypeVar("R", bound=str)
T = TypeVar("T")


class _Numbers(Collector):
    """Metrics that a function makes when they are asked for."""

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        return self._collect()


class RoleMetrics:
    """The metrics of one role's process."""

    def __init__(
        self,
        role: str,
        stages: Sequence[Stage],
        meter: Meter,
        desk: StoreContact,
        depths: Lookup[Mapping[str, Depth]] | None = None,
        letters: Lookup[Mapping[str, int]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        stages: those at work; may grow.
        depths: how many tasks each lane has; None where this role doesn't say.
        letters: how many dead letters each lane has; likewise.
        """
        self._role = role
        self._stages = stages
        self._meter = meter
        self._desk = desk
        self._depths = depths
        self._letters = letters
        self._clock = clock

    async def page(self) -> PlainPage:
        """All of them, as they are now; without what queue and store would have to tell while it cannot be had."""
        depths, letters = await asyncio.gather(_found(self._depths), _found(self._letters))
        return render(lambda: self._collect(depths, letters))

    def _collect(self, depths: Mapping[str, Depth], letters: Mapping[str, int]) -> Iterator[Metric]:
        yield build_info(self._role)
        cpu = _counter("cpu_seconds", "CPU time of the event loop, by what it was spent on", "role", "stage")
        for account, seconds in self._meter.seconds.items():
            cpu.add_metric([self._role, account], seconds)
        yield cpu
        if self._desk.looked_at is not None:
            age = self._clock() - self._desk.looked_at
            yield _gauge("store_look_age_seconds", "Time since the store was last reached", value=age)
        yield from _of_senders([stage for stage in self._stages if isinstance(stage, LaneSender)])
        for stage in self._stages:
            if isinstance(stage, PlanWorker):
                yield from _of_planner(stage)
            tally = getattr(stage, "tally", None)
            if isinstance(tally, RecordTally):
                yield from _of_recorder(tally, stage.problem)
        if depths:
            queued = _gauge("queue_tasks", "Tasks in the queue, of the whole cluster", "lane", "state")
            for lane, depth in depths.items():
                for state in ("ready", "delayed", "leased"):
                    queued.add_metric([lane, state], getattr(depth, state))
            yield queued
        if letters:
            aside = _gauge("dead_letters", "Tasks that were put aside, of the whole cluster", "lane")
            for lane, many in sorted(letters.items()):
                aside.add_metric([lane], many)
            yield aside


async def _found(lookup: Lookup[Mapping[str, T]] | None) -> Mapping[str, T]:
    """What it finds; nothing while it cannot be had."""
    if lookup is not None:
        with suppress(StentorError, TimeoutError):
            return await lookup.get()
    return {}


def render(collect: Callable[[], Iterable[Metric]]) -> PlainPage:
    """These metrics and those of the process itself, as a page."""
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    registry.register(_Numbers(collect))
    return _page(registry)


def join(pages: Mapping[str, bytes]) -> PlainPage:
    """The pages of several processes as one, each metric labelled with its `process`."""
    found: dict[str, Metric] = {}
    for process, page in pages.items():
        for family in text_string_to_metric_families(page.decode()):
            joined = found.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                joined.samples.append(sample._replace(labels={**sample.labels, "process": process}))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Numbers(found.values))
    return _page(registry)


def of_supervisor(running: Mapping[R, int], wanted: Mapping[R, int], restarts: Mapping[R, int]) -> Iterator[Metric]:
    """What a supervisor says of its processes, by role."""
    runs = _gauge("processes", "Processes that run", "role")
    should = _gauge("processes_wanted", "Processes that should run", "role")
    restarted = _counter("restarts", "Processes that were started again after they had died", "role")
    for role in wanted:
        runs.add_metric([role], running.get(role, 0))
        should.add_metric([role], wanted[role])
        restarted.add_metric([role], restarts.get(role, 0))
    yield from (runs, should, restarted)


def _page(registry: CollectorRegistry) -> PlainPage:
    return PlainPage(200, generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4)


def _of_senders(senders: Sequence[LaneSender]) -> Iterator[Metric]:
    if not senders:
        return
    batches = _counter("batches_sent", "Batches that were given to the wire", "lane")
    sent = _counter("recipients_sent", "Recipients given to the wire, once for each try", "lane")
    accepted = _counter("recipients_accepted", "Recipients that the provider accepted", "lane")
    rejected = _counter("recipients_rejected", "Recipients that were refused for good", "lane", "reason")
    retried = _counter("recipients_retried", "Recipients put back to be tried again, once for each time", "lane")
    unknown = _counter("answers_unknown", "Answers of the provider that no table of ours has", "lane")
    held = _gauge("batches_held", "Batches in hand", "lane")
    closed = _gauge("lane_closed", "1 while nothing may be sent: a problem, or the provider asks for quiet", "lane")
    problem = _gauge("lane_problem", "1 while credentials, settings or the provider keep a lane from sending", "lane")
    silent = _gauge("lane_silent_hosts", "Hosts that recipients wait for and that answer nothing", "lane")
    connections = _gauge("connections", "Connections to the provider", "lane")
    streams = _gauge("streams", "Requests in flight", "lane")
    now = time.monotonic()
    for sender in senders:
        lane, tally, state = [sender.name], sender.tally, sender.state
        batches.add_metric(lane, tally.batches)
        sent.add_metric(lane, tally.sent)
        accepted.add_metric(lane, tally.accepted)
        for reason, many in sorted(tally.rejected.items()):
            rejected.add_metric([*lane, reason], many)
        retried.add_metric(lane, tally.retried)
        unknown.add_metric(lane, sum(tally.unknown.values()))
        held.add_metric(lane, sender.held)
        closed.add_metric(lane, sender.gate.look(now) is Pass.CLOSED)
        problem.add_metric(lane, sender.stands_still)
        silent.add_metric(lane, sender.silent_hosts)
        connections.add_metric(lane, state.connections)
        streams.add_metric(lane, state.open_streams)
    yield from (
        batches,
        sent,
        accepted,
        rejected,
        retried,
        unknown,
        held,
        closed,
        problem,
        silent,
        connections,
        streams,
    )


def _of_planner(worker: PlanWorker) -> Iterator[Metric]:
    yield _counter("plan_steps", "Pages of audiences that were turned into batches", value=worker.tally.steps)
    planned = _counter("recipients_planned", "Recipients that were put into batches", "lane")
    for lane, many in sorted(worker.tally.recipients.items()):
        planned.add_metric([UNROUTABLE if lane == NO_LANE else lane], many)
    yield planned
    yield _gauge("audience_problem", "1 while an audience's database cannot be read", value=worker.notice is not None)


def _of_recorder(tally: RecordTally, problem: str | None) -> Iterator[Metric]:
    recorded = _counter("recipients_recorded", "Recipients whose outcome was made durable", "lane", "outcome")
    for (lane, outcome), many in sorted(tally.outcomes.items()):
        recorded.add_metric([lane, outcome.name.lower()], many)
    yield recorded
    yield _counter("record_commits", "Transactions with outcomes", value=tally.commits)
    yield _gauge("record_waiting", "Batches whose outcomes are known and not durable yet", value=tally.waiting)
    yield _gauge("record_problem", "1 while outcomes cannot be written down", value=problem is not None)
    buckets = zip((*map(str, BOUNDS), "+Inf"), accumulate(tally.latency.counts), strict=True)
    latency = HistogramMetricFamily("stentor_record_seconds", "Time from a batch's answers until they are durable")
    latency.add_metric([], list(buckets), tally.latency.total)
    yield latency


def build_info(role: str) -> Metric:
    """What every process says of itself: other metrics are joined to a role by it."""
    build = _gauge("build_info", "What runs here", "role", "version", "python")
    build.add_metric([role, __version__, platform.python_version()], 1)
    return build


def _counter(name: str, what: str, *labels: str, value: float | None = None) -> CounterMetricFamily:
    return CounterMetricFamily(f"stentor_{name}", what, value=value, labels=None if value is not None else labels)


def _gauge(name: str, what: str, *labels: str, value: float | None = None) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"stentor_{name}", what, value=value, labels=None if value is not None else labels)
