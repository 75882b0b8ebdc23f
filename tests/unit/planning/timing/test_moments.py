"""When those of a page get a campaign: at their own moments, after a release, and not in quiet hours that came late."""

from __future__ import annotations

from datetime import UTC, datetime

from stentor.audience.contract import Page
from stentor.own_reasons import NO_ZONE, QUIET_EXPIRED
from stentor.planning.contract import Timing
from stentor.planning.division import Assigned, LeftOut, Wave
from stentor.planning.timing.assigning import in_canary
from stentor.planning.timing.moments import Moments

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()
SIX = "2026-11-30T18:00"
HOUR = 3600.0


def page(*zones: str | None) -> Page:
    keys = [b"key%d" % number for number in range(len(zones))]
    return Page(keys=keys, addresses=[b""] * len(keys), lanes="apns/ios", zones=list(zones))


def test_each_has_the_wave_of_its_zone_and_who_is_due_has_none() -> None:
    moments = Moments(Timing(local_at=SIX, no_zone="skip"), "c", NOON)
    people = page("Europe/Berlin", "UTC", None, "+06:00")
    found = moments.assign(people, NOON)
    assert found.waves == [Wave(NOON + 5 * HOUR), Wave(NOON + 6 * HOUR), None, None]
    assert {key: why.reason for key, why in found.left_out.items()} == {b"key2": NO_ZONE}
    late = moments.assign(people, NOON + 5 * HOUR)
    assert late.waves == [None, Wave(NOON + 6 * HOUR), None, None], "a page that is read late, of the same campaign"
    assert moments.assign(people, NOON + 6 * HOUR).waves is None


def test_all_but_the_canary_wait_for_a_release_whatever_their_moment_is() -> None:
    timing = Timing(local_at=SIX, no_zone="now", canary=0.3)
    people = page(*["UTC", None] * 100)
    first = in_canary(timing, people.keys, "c")
    assert 30 < sum(first) < 90
    waves = Moments(timing, "c", NOON).assign(people, NOON).waves
    assert waves is not None
    for number, (goes_first, wave) in enumerate(zip(first, waves, strict=True)):
        at = NOON + 6 * HOUR if number % 2 == 0 else NOON
        if not goes_first:
            assert wave == Wave(at, gated=True)
        else:
            assert wave == (Wave(at) if at > NOON else None)


def test_with_a_hold_everybody_waits() -> None:
    assert Moments(Timing(hold=True), "c", NOON).assign(page(None, None), NOON) == Assigned(
        waves=[Wave(NOON, gated=True)] * 2
    )


def test_whose_quiet_hours_have_begun_meanwhile_waits_for_their_end() -> None:
    people = page("Europe/Berlin", "America/New_York", None)
    at_night = datetime(2026, 11, 30, 22, 30, tzinfo=UTC).timestamp()
    hold = Moments(Timing(quiet_hours="22:00-08:00", no_zone="now"), "c", NOON)
    morning = datetime(2026, 12, 1, 7, tzinfo=UTC).timestamp()
    assert hold.again(people, at_night).waves == [Wave(morning), None, None]
    assert hold.again(people, NOON).waves == [None, Wave(NOON + HOUR), None], "7 in the morning in New York"
    assert hold.again(people, NOON + 3 * HOUR) == Assigned()
    expire = Moments(Timing(quiet_hours="22:00-08:00", quiet_then="expire", no_zone="now"), "c", NOON)
    assert expire.again(people, at_night).left_out == {
        b"key0": LeftOut(QUIET_EXPIRED, "its turn came in the quiet hours 22:00-08:00")
    }
    assert Moments(Timing(canary=0.1), "c", NOON).again(people, at_night) == Assigned()
