"""For which hosts a lane waits that asks them one by one."""

from __future__ import annotations

from stentor.providers.asked_hosts import LINGERS, REMEMBERED, AskedHosts


def test_a_host_is_listed_while_it_is_asked_and_after_it_gave_no_answer() -> None:
    hosts = AskedHosts()
    hosts.ask("a", 0.0)
    hosts.ask("a", 1.0)
    (before,) = hosts.states(1.0)
    assert (before.name, before.waiting, before.trouble) == ("a", 2, "")
    hosts.settle("a")
    (after,) = hosts.states(1.0)
    assert (after.waiting, after.answered > before.answered) == (1, True)
    hosts.give_up("a", "connection refused")
    (resting,) = hosts.states(2.0)
    assert (resting.answered, resting.trouble, resting.waiting) == (after.answered, "connection refused", 1)
    hosts.ask("a", 60.0)
    assert [each.answered for each in hosts.states(60.0)] == [after.answered], "the same silence"
    hosts.give_up("a", "")
    assert hosts.states(59.0 + LINGERS)
    assert hosts.states(60.0 + LINGERS) == []
    assert repr(hosts) == "<AskedHosts: 0 under way, 0 unanswered>"


def test_one_that_answers_is_never_mistaken_for_the_one_of_the_look_before() -> None:
    hosts = AskedHosts()
    seen = set()
    for moment in range(5):
        hosts.ask("a", moment)
        seen.add(hosts.states(moment)[0].answered)
        hosts.settle("a")
    assert len(seen) == 5


def test_however_many_are_silent_only_the_latest_are_kept() -> None:
    hosts = AskedHosts()
    for number in range(2 * REMEMBERED):
        hosts.ask(f"{number}.example", 0.0)
        hosts.give_up(f"{number}.example", "")
    names = [each.name for each in hosts.states(1.0)]
    assert names == [f"{number}.example" for number in range(REMEMBERED, 2 * REMEMBERED)]
