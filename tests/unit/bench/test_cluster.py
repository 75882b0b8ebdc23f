"""What `stentor bench cluster` and `scaling` make of what they see: statements in a log, rates, sums by role."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from stentor.bench import scaling
from stentor.bench.cluster import by_role
from stentor.bench.scaling import steady_rate
from stentor.bench.servers import count_statements

LOG = """\
2026-11-21 10:00:00 UTC LOG:  database system is ready
bench 100.000 LOG:  statement: BEGIN;
bench 100.100 LOG:  execute __asyncpg_stmt_1__: INSERT INTO stentor_batches
\t(id, size) SELECT u.id, u.size FROM unnest($1) AS u
bench 100.200 LOG:  execute __asyncpg_stmt_2__: SELECT id FROM stentor_batches
\tFOR UPDATE
bench 100.300 LOG:  execute __asyncpg_stmt_3__: WITH lost AS
\t(SELECT 1), explained AS
\t(INSERT INTO stentor_failures SELECT 1) UPDATE stentor_installations SET dead = true
bench 100.350 LOG:  execute __asyncpg_stmt_3__: WITH seen AS (SELECT 1) SELECT * FROM seen
bench 100.400 LOG:  statement: COMMIT;
bench 100.500 LOG:  statement: ROLLBACK;
bench 100.600 LOG:  statement: UPDATE stentor_chains SET step = 1
bench 101.000 LOG:  statement: COMMIT;
"""


def test_statements_are_counted_by_what_they_do() -> None:
    assert count_statements(LOG, 0.0, 200.0) == {"writes": 3, "reads": 2, "commits": 2}


def test_only_those_of_the_time_are_counted() -> None:
    assert count_statements(LOG, 100.05, 100.25) == {"writes": 1, "reads": 1, "commits": 0}


def test_stages_add_up_by_role() -> None:
    stages = {"planner.read": 1.25, "planner.put": 0.5, "sender.wire": 4.0, "watch": 0.25}
    assert by_role(stages) == {"planner": 1.75, "sender": 4.0, "watch": 0.25}


def test_the_rate_is_that_of_the_middle() -> None:
    slow = [(at / 10, at * 10) for at in range(41)]  # 100/s until 40 % are done
    fast = [(4 + at / 10, 400 + at * 50) for at in range(1, 12)]  # 500/s until 95 %
    end = [(float(at), 950 + at) for at in range(10, 60)]  # stragglers
    assert steady_rate(slow + fast + end, 1000, at_most=500) == pytest.approx(500, rel=0.05)


def test_a_campaign_that_was_over_at_once_has_no_rate() -> None:
    assert steady_rate([(0.0, 0), (1.0, 1000)], 1000, at_most=500) is None


def test_outcomes_that_became_known_in_lumps_have_no_rate() -> None:
    lumps = [(0.0, 0), (1.0, 400), (1.1, 600), (1.2, 950), (2.0, 1000)]
    assert steady_rate(lumps, 1000, at_most=500) is None
    assert steady_rate(lumps, 1000, at_most=2_501) == pytest.approx(2_750, rel=0.05)
    assert steady_rate(lumps, 1000, at_most=2_490) is None


class TestTheLengthOfACampaign:
    def measured(self, monkeypatch: pytest.MonkeyPatch, rates: list[float | None]) -> tuple[list[str], Any]:
        """What is said, and what is found, where these rates are seen one after the other."""
        said: list[str] = []
        sent = SimpleNamespace(progress=[], exact=True, problems=[])
        monkeypatch.setattr(scaling, "ClusterServers", SimpleNamespace(found=lambda *_: nullcontext()))
        monkeypatch.setattr(scaling, "_send", lambda *_: (sent, {}))
        monkeypatch.setattr(scaling, "steady_rate", lambda *_, **__: rates.pop(0))
        return said, scaling.run([2], 6, (None, None), said.append)["rows"][0]

    def test_it_takes_longer_by_itself_where_too_little_was_seen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        said, row = self.measured(monkeypatch, [None, None, 5_000])
        assert said == [
            "2 senders: 36,360 recipients",
            "too short to tell its rate; once more, twice as long",
            "2 senders: 72,720 recipients",
            "too short to tell its rate; once more, twice as long",
            "2 senders: 145,440 recipients",
        ]
        assert (row["recipients"], row["rate"]) == (145_440, 5_000)

    def test_four_times_is_the_longest(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(RuntimeError, match="--seconds"):
            self.measured(monkeypatch, [None, None, None, 5_000])
