"""Which hosts of a lane count as silent, how they are named, and until when."""

from __future__ import annotations

from collections.abc import Sequence

from stentor.providers.lane import HostState
from stentor.sending.silence import LOOKS, SILENT
from stentor.sending.silent_hosts import LONGEST_NAME, NAMED, REWORDED, SilentHosts

EPOCH = 1_800_000_000.0  # 08:00:00 UTC


def host(name: str, waiting: int = 1, answered: int = 0, trouble: str = "") -> HostState:
    return HostState(name=name, waiting=waiting, answered=answered, trouble=trouble)


def look(hosts: SilentHosts, listed: Sequence[HostState], *moments: float) -> str | None:
    for now in moments:
        hosts.look(listed, now, EPOCH + now)
    return hosts.problem.what if hosts.problem else None


def test_one_silent_host_among_busy_ones_is_named_until_it_answers() -> None:
    hosts = SilentHosts("push service")
    for second in range(5):
        assert look(hosts, [host("a.example", 400), host("b.example", 7, answered=second)], second) is None
    told = look(hosts, [host("a.example", 400), host("b.example", 7, answered=9)], SILENT)
    assert told == (
        "the push service a.example is connected and has answered nothing since 08:00:00 UTC (400 recipients or more"
        " wait); all others go on"
    )
    problem = hosts.problem
    assert problem is not None
    assert (problem.waiting, problem.pause, hosts.count) == (400, None, 1)
    assert "whether the push service has an outage" in problem.remedy
    assert repr(hosts) == "<SilentHosts: 1 of 2>"
    assert look(hosts, [host("a.example", 390, answered=1)], 60.0) is None
    assert hosts.count == 0


def test_why_there_is_no_connection_is_told() -> None:
    hosts = SilentHosts("receiver")
    told = look(hosts, [host("a.example", trouble="connection refused")], *range(6))
    assert told is not None
    assert told.startswith(
        "the receiver a.example has answered nothing since 08:00:00 UTC: connection refused (1 recip"
    )


def test_of_many_those_with_most_waiting_are_named_and_the_rest_counted() -> None:
    hosts = SilentHosts("receiver")
    told = look(hosts, [host(f"r{number}.example", number) for number in range(1, 2001)], *range(6))
    assert told is not None
    assert told.startswith("2,000 receivers answer nothing: r2000.example is connected")
    assert told.endswith(", and 1,997 others; all others go on")
    assert (told.count("example"), hosts.count) == (NAMED, 2000)
    assert hosts.problem is not None
    assert hosts.problem.waiting == sum(range(2001))
    assert len(told) < 400
    assert look(hosts, [], 7.0) is None
    assert repr(hosts) == "<SilentHosts: 0 of 0>", "what is not listed is forgotten"


def test_a_process_that_stood_still_reads_its_answers_first() -> None:
    hosts = SilentHosts("receiver")
    assert look(hosts, [host("a")], 1.0, 900.0) is None
    assert look(hosts, [host("a")], *(900.0 + number for number in range(1, LOOKS))) is not None


def test_the_words_stay_for_some_seconds_unless_all_whom_they_name_answer() -> None:
    hosts = SilentHosts("receiver")
    first = look(hosts, [host("a"), host("b", 0)], *range(6))
    assert look(hosts, [host("a", 5), host("b", 9)], 6.0) == first
    assert look(hosts, [host("a", 5), host("b", 9)], 5.0 + REWORDED) != first
    both = hosts.problem
    assert both is not None
    assert look(hosts, [host("a", 5), host("b", 9, answered=1)], 6.0 + REWORDED) == both.what
    assert look(hosts, [host("a", answered=1), host("b", answered=1), host("c")], *range(20, 26)) is not None
    told = look(hosts, [host("c", answered=1), host("a", answered=1)], 26.0)
    assert told is not None
    assert "the receiver a is connected" in told


def test_a_name_that_a_stranger_chose_is_cut() -> None:
    hosts = SilentHosts("push service")
    told = look(hosts, [host("x" * 253)], *range(6))
    assert told is not None
    assert f" {'x' * LONGEST_NAME}… " in told
