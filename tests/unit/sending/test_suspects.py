"""Which batches may have killed their senders, and how each gets a turn of its own."""

from __future__ import annotations

from collections.abc import Sequence

from stentor.queue.contract import Lease
from stentor.sending.suspects import NEXT_TURN, SUSPECT, Suspects


def lease(name: str, deaths: int = 0) -> Lease:
    return Lease(id=name, lane="apns/ios", campaign_id="c1", payload=b"", deliveries=1 + deaths, token=name, until=0.0)


def names(leases: Sequence[Lease]) -> list[str]:
    return [each.id for each in leases]


def test_what_killed_nobody_is_no_suspect() -> None:
    quarantine: set[str] = set()
    leases = [lease("a"), lease("b", SUSPECT - 1)]
    assert Suspects(quarantine).draw(leases) == (leases, [])
    assert quarantine == set()


def test_a_single_suspect_is_sent_and_its_deaths_count() -> None:
    quarantine: set[str] = set()
    suspects = Suspects(quarantine)
    suspect = lease("a", SUSPECT)
    assert suspect in suspects
    assert suspects.draw([suspect]) == ([suspect], [])
    assert quarantine == {"a"}
    assert not suspects.pardons(suspect)


def test_of_several_one_is_drawn_and_the_deaths_of_all_are_forgotten() -> None:
    drawn = set()
    for _ in range(200):
        suspects = Suspects(set())
        kept, away = suspects.draw([lease("a", SUSPECT), lease("plain"), lease("b", SUSPECT), lease("c", SUSPECT)])
        first, *others = [each for each in kept if each.id != "plain"]
        assert others == []
        assert "plain" in names(kept)
        assert {each.id for each, delay in away if delay == 0.0} == {"a", "b", "c"} - {first.id}
        assert all(suspects.pardons(lease(name)) for name in "abc")
        assert not suspects.pardons(lease("plain"))
        drawn.add(first.id)
    assert drawn == {"a", "b", "c"}


def test_while_one_is_under_way_in_another_lane_the_others_wait() -> None:
    quarantine: set[str] = set()
    suspects, other_lane = Suspects(quarantine), Suspects(quarantine)
    mine, theirs = lease("a", SUSPECT), lease("b", SUSPECT)
    suspects.draw([mine])
    assert other_lane.draw([theirs]) == ([], [(theirs, NEXT_TURN)])
    suspects.acquit(mine)
    assert other_lane.draw([theirs]) == ([theirs], [])


def test_one_that_was_given_back_stays_a_suspect_until_it_had_its_turn() -> None:
    suspects = Suspects(set())
    kept, away = suspects.draw([lease("a", SUSPECT), lease("b", SUSPECT)])
    suspects.acquit(kept[0])
    again = lease(away[0][0].id)  # the queue counts its deaths anew
    assert again in suspects
    assert suspects.draw([again]) == ([again], [])
    suspects.acquit(again)
    assert again not in suspects


def test_one_that_is_not_sent_after_all_leaves_the_turn_to_another() -> None:
    quarantine: set[str] = set()
    suspects = Suspects(quarantine)
    suspects.draw([lease("a", SUSPECT)])
    suspects.put_off([lease("a", SUSPECT)])
    assert quarantine == set()
    assert suspects.draw([lease("b", SUSPECT)])[1] == []
