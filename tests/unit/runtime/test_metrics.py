"""The pages of metrics: well-formed, joined by process, and without a label that may have many values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from stentor.errors import StoreUnavailable
from stentor.meter import Meter
from stentor.outcome import Outcome
from stentor.queue.contract import Depth
from stentor.recording.tally import BOUNDS, RecordTally, news
from stentor.runtime.health import Lookup
from stentor.runtime.metrics import RoleMetrics, join, of_supervisor, render
from stentor.runtime.plain_http import PlainPage

LANE = "apns/ios"
ROOT = Path(__file__).parents[3]


class FakeRecorder:
    name = "record"
    beat = None
    problem: str | None = None
    notice = None
    looked_at = 10.0

    def __init__(self) -> None:
        self.tally = RecordTally(commits=3)


def read(page: PlainPage) -> dict[tuple[Any, ...], float]:
    """Value by name and labels, those sorted by their names."""
    assert page.content_type == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.body.decode())
        for sample in family.samples
    }


def role_metrics(recorder: FakeRecorder, depths: Lookup[Mapping[str, Depth]] | None = None) -> RoleMetrics:
    meter = Meter("wire", iter(range(100)).__next__)
    return RoleMetrics("sender", [recorder], meter, recorder, depths, clock=lambda: 12.5)


async def test_what_a_recorder_did() -> None:
    recorder = FakeRecorder()
    recorder.tally.outcomes.update({(LANE, Outcome.ACCEPTED): 40, (LANE, Outcome.REJECTED): 2})
    for seconds in (0.001, 0.2, 0.25, 99.0):
        recorder.tally.latency.note(seconds)
    found = read(await role_metrics(recorder).page())
    assert found["stentor_recipients_recorded_total", LANE, "accepted"] == 40
    assert found["stentor_recipients_recorded_total", LANE, "rejected"] == 2
    assert found["stentor_record_commits_total",] == 3
    assert found["stentor_record_problem",] == 0
    buckets = [found["stentor_record_seconds_bucket", str(bound)] for bound in BOUNDS]
    assert buckets == [1, 1, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3]
    assert found["stentor_record_seconds_bucket", "+Inf"] == found["stentor_record_seconds_count",] == 4
    assert found["stentor_record_seconds_sum",] == pytest.approx(99.451)
    recorder.problem = "the disk is full"
    assert read(await role_metrics(recorder).page())["stentor_record_problem",] == 1


async def test_what_every_process_says() -> None:
    found = read(await role_metrics(FakeRecorder()).page())
    assert found["stentor_cpu_seconds_total", "sender", "wire"] == 1
    assert found["stentor_store_look_age_seconds",] == 2.5
    assert found["process_resident_memory_bytes",] > 0
    assert [name for name, *_ in found if name == "stentor_build_info"] == ["stentor_build_info"]


async def test_depths_are_there_where_they_can_be_had() -> None:
    depths: list[Mapping[str, Depth] | Exception] = [{LANE: Depth(ready=3, delayed=2, leased=1)}, StoreUnavailable()]

    async def ask() -> Mapping[str, Depth]:
        depth = depths.pop(0)
        if isinstance(depth, Exception):
            raise depth
        return depth

    metrics = role_metrics(FakeRecorder(), Lookup(ask, 0.0))
    found = read(await metrics.page())
    assert [found["stentor_queue_tasks", LANE, state] for state in ("ready", "delayed", "leased")] == [3, 2, 1]
    assert "stentor_queue_tasks" not in {name for name, *_ in read(await metrics.page())}


async def test_dead_letters_are_there_where_they_can_be_had() -> None:
    answers: list[Mapping[str, int] | Exception] = [{LANE: 2, "plan": 0}, TimeoutError()]

    async def ask() -> Mapping[str, int]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    recorder = FakeRecorder()
    metrics = RoleMetrics("planner", [], Meter("steps"), recorder, letters=Lookup(ask, 0.0))
    found = read(await metrics.page())
    assert (found["stentor_dead_letters", LANE], found["stentor_dead_letters", "plan"]) == (2, 0)
    assert "stentor_dead_letters" not in {name for name, *_ in read(await metrics.page())}


def test_pages_are_joined_by_process() -> None:
    own = render(lambda: of_supervisor({"sender": 1}, {"sender": 2, "planner": 1}, {"sender": 5}))
    page = b'# HELP a_total What\n# TYPE a_total counter\na_total{lane="x\\"y"} 4\n'
    joined = join({"supervisor": own.body, "sender-1": page, "sender-2": page.replace(b"4", b"5")})
    assert joined.body.count(b"# TYPE a_total counter") == 1
    found = read(joined)
    assert (found["a_total", 'x"y', "sender-1"], found["a_total", 'x"y', "sender-2"]) == (4, 5)
    assert found["stentor_processes", "supervisor", "sender"] == 1
    assert found["stentor_processes", "supervisor", "planner"] == 0
    assert found["stentor_processes_wanted", "supervisor", "sender"] == 2
    assert found["stentor_restarts_total", "supervisor", "sender"] == 5
    assert found["stentor_restarts_total", "supervisor", "planner"] == 0


def test_the_page_about_metrics_has_all_of_them_and_no_other() -> None:
    source = (ROOT / "src/stentor/runtime/metrics.py").read_text()
    source += (ROOT / "src/stentor/service/metrics.py").read_text()
    counters = {f"stentor_{name}_total" for name in re.findall(r'_counter\(\s*"(\w+)"', source)}
    counters |= {f"{name}_total" for name in re.findall(r'CounterMetricFamily\(\s*"(\w+)"', source)}
    gauges = {f"stentor_{name}" for name in re.findall(r'_gauge\(\s*"(\w+)"', source)}
    histograms = set(re.findall(r'HistogramMetricFamily\(\s*"(\w+)"', source))
    assert len(counters) > 8
    assert len(gauges) > 8
    page = (ROOT / "docs/metrics.md").read_text()
    assert set(re.findall(r"^\| `(stentor_\w+)` \|", page, re.MULTILINE)) == counters | gauges | histograms
    assert set(re.findall(r"\bstentor_\w+", page)) <= counters | gauges | histograms


def test_what_is_new_is_counted_once() -> None:
    pending, done = bytes(4), bytes([Outcome.ACCEPTED] * 2 + [Outcome.REJECTED, Outcome.PENDING])
    assert news([(LANE, pending, done), (LANE, done, done)]) == {
        (LANE, Outcome.ACCEPTED): 2,
        (LANE, Outcome.REJECTED): 1,
    }
