"""What stops a lane and what lets it go on: credentials, settings, providers that are down or want quiet."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stentor.clock import steady
from stentor.errors import CredentialError, CredentialUnavailable, InvalidConfiguration
from stentor.outcome import Outcome, Scope, Verdict
from stentor.providers.contract import Renewal
from stentor.providers.lane import LaneState
from stentor.sending import gate, gatekeeper, silence
from stentor.sending.gate import TRIAL, Pass
from tests.integration.sending.doubles import LANE, LaneDouble, Works, quicken, refused, until, works

ALL = b"\1"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Works]:
    async with works(tmp_path, stop_within=0.2) as made:
        yield made


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [f"{record.levelname} {record.getMessage()}" for record in caplog.records]


@pytest.mark.parametrize("error", [CredentialError("no such key"), InvalidConfiguration("no such key")])
async def test_wrong_credentials_settle_nobody_are_told_once_and_go_on_when_mended(
    stage: Works, error: Exception
) -> None:
    names = [await stage.put(number, 100) for number in (1, 2, 3)]
    stage.lane.trouble = error
    async with stage.at_work():
        await stage.until_told()
        began = stage.lane.began
        await until(lambda: stage.sender.gate.look(steady()).value == "trial" or began > 99)
        assert [await stage.outcomes(name) for name in names] == [bytes(100)] * 3
        stage.lane.trouble = None
        stage.lane.mended.set()
        await stage.drained()
        await until(lambda: stage.desk.reports[-1] is None)
    assert stage.told == ["no such key", None]
    assert len(stage.lane.flights[0].recipients) == TRIAL
    assert [await stage.outcomes(name) for name in names] == [ALL * 100] * 3
    assert await stage.failures() == []


async def test_a_credential_that_cannot_be_had_now_is_waited_for(stage: Works) -> None:
    name = await stage.put()
    stage.lane.trouble = CredentialUnavailable("the token server is away")
    async with stage.at_work():
        assert (await stage.until_told()).remedy == gate.GOES_ON
        stage.lane.trouble = None
        await stage.drained()
    assert await stage.outcomes(name) == ALL * 30


async def test_a_refused_key_stops_the_lane_and_drops_nobody(stage: Works, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    names = [await stage.put(number, 100) for number in range(4)]
    stage.lane.script = lambda _: refused(Verdict.STOP, "InvalidProviderToken", Scope.LANE)
    async with stage.at_work():
        assert (await stage.until_told()).remedy == "what InvalidProviderToken means"
        stage.lane.script = lambda _: None
        await stage.drained()
    assert [await stage.outcomes(name) for name in names] == [ALL * 100] * 4
    assert await stage.failures() == []
    assert all(len(flight.recipients) in (20, 100, 80) for flight in stage.lane.flights)
    because = "InvalidProviderToken; what InvalidProviderToken means"
    assert said(caplog) == [f"WARNING the lane {LANE} is closed: {because}", f"INFO the lane {LANE} sends again"]


async def test_mended_credentials_are_tried_at_once_however_long_the_pause(stage: Works) -> None:
    name = await stage.put(1, 100)
    stop = refused(Verdict.STOP, "Forbidden", Scope.LANE, retry_after=3600.0, asked=True)
    stage.lane.script = lambda _: stop
    async with stage.at_work():
        assert ((await stage.until_told()).pause or 0.0) > 3500
        await stage.until_queue(delayed=1)
        stage.lane.script = lambda _: None
        stage.lane.mended.set()
        stage.clock.move(gatekeeper.LONGEST_WAIT)
        await stage.until_queue()
    assert await stage.outcomes(name) == ALL * 100
    assert len(stage.lane.flights[1].recipients) == TRIAL


async def test_credentials_that_changed_are_taken_up_though_nothing_is_wrong(
    stage: Works, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with stage.at_work():
        stage.lane.mended.set()
        await until(lambda: not stage.lane.mended.is_set())
        await until(lambda: len(caplog.records) > 0)
    assert stage.told == []
    assert said(caplog) == [f"INFO the credentials of {LANE} were read"]


async def test_credential_files_that_are_broken_are_told_of_once_and_the_old_ones_serve(
    stage: Works, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks = []

    async def reload() -> bool:
        looks.append(1)
        raise CredentialError("apps.ios.key_file: half of a key")

    monkeypatch.setattr(stage.lane, "reload", reload)
    batch = await stage.put(1, 10)
    async with stage.at_work():
        await until(lambda: len(looks) > 2)
        await stage.drained()
    assert await stage.outcomes(batch) == ALL * 10
    assert [record.message for record in caplog.records] == [
        f"the credential files of {LANE} cannot be used: apps.ios.key_file: half of a key"
    ]


async def test_credential_files_that_break_again_are_told_of_again(
    stage: Works, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = True

    async def reload() -> bool:
        if broken:
            raise CredentialError("apps.ios.key_file: half of a key")
        return False  # as it was before it broke

    monkeypatch.setattr(stage.lane, "reload", reload)
    async with stage.at_work():
        await until(lambda: len(caplog.records) == 1)
        broken = False
        await until(lambda: not stage.sender._gatekeeper._warned)
        broken = True
        await until(lambda: len(caplog.records) == 2)


async def test_addresses_of_the_other_environment_are_not_dropped_not_even_by_trials(stage: Works) -> None:
    name = await stage.put(1, 30)
    small = await stage.put(2, 5)
    malformed = refused(Verdict.REJECT, "MalformedAddress", status=0)
    wrong = refused(Verdict.DROP, "BadDeviceToken", stop_if_all=True)
    stage.lane.script = lambda recipient: malformed if recipient == b"c1-1-0" else wrong
    stage.lane.room = 1
    async with stage.at_work():
        async with asyncio.timeout(30):
            while len(stage.lane.flights) < 6:
                stage.clock.move(0.2)
                await asyncio.sleep(0.005)
        assert not [row for row in await stage.failures() if row.dead]
        stage.lane.script = lambda _: None
        await stage.drained()
    assert (await stage.outcomes(name))[1:] == ALL * 29
    assert await stage.outcomes(small) == ALL * 5


async def test_a_refused_token_is_renewed_once_and_all_are_sent_again(stage: Works) -> None:
    name = await stage.put()
    expired = True
    stage.lane.script = lambda _: refused(Verdict.REFRESH, "Expired", Scope.CREDENTIAL) if expired else None
    stage.lane.holds = True
    async with stage.at_work():
        await until(lambda: stage.lane.flights)
        stage.lane.flights[0].answer()
        await until(lambda: len(stage.lane.flights) == 2)
        expired = False
        stage.lane.flights[1].answer()
        await stage.until_queue()
    assert stage.lane.calls.count("refused") == 1
    assert stage.told == []
    assert await stage.outcomes(name) == ALL * 30
    assert await stage.waiting(name) == []


@pytest.mark.parametrize(
    ("renewal", "what"),
    [
        (Renewal(False, wait=0.01, explanation="another one is refused too"), "another one is refused too"),
        (CredentialError("no such key"), "no such key"),
        (CredentialUnavailable("away"), "away"),
    ],
    ids=["refused again", "wrong", "away"],
)
async def test_a_token_that_cannot_be_renewed_closes_the_lane(stage: Works, renewal: Any, what: str) -> None:
    name = await stage.put()
    stage.lane.renewal = renewal
    stage.lane.script = lambda _: refused(Verdict.REFRESH, "Expired", Scope.CREDENTIAL)
    async with stage.at_work():
        await stage.until_told()
        stage.lane.script = lambda _: None
        await stage.drained()
        await until(lambda: stage.desk.reports[-1] is None)
    assert stage.told == [what, None]
    assert await stage.outcomes(name) == ALL * 30


async def test_too_many_new_tokens_keep_the_old_one(stage: Works) -> None:
    await stage.put()
    stage.lane.script = lambda _: refused(Verdict.RETRY, "TooManyProviderTokenUpdates", Scope.CREDENTIAL)
    async with stage.at_work():
        await stage.until_queue(delayed=1)
    assert "hold" in stage.lane.calls


async def test_a_lane_that_is_told_to_be_quiet_sends_nothing_until_then(stage: Works) -> None:
    await stage.put(1)
    stage.lane.script = lambda _: refused(Verdict.RETRY, "Quota", Scope.LANE, retry_after=600.0, asked=True)
    async with stage.at_work():
        await stage.until_queue(delayed=1)
        await stage.put(2)
        asked = stage.desk.asked
        await stage.until_queue(delayed=1, ready=1)
        assert stage.sender.gate.closed_until > steady() + 590
        assert (len(stage.lane.flights), stage.desk.asked) == (1, asked)
    assert stage.told == []


async def test_a_provider_that_is_down_is_asked_little_and_goes_on_by_itself(stage: Works) -> None:
    names = [await stage.put(number, 100) for number in range(20)]
    stage.lane.script = lambda recipient: refused(
        *((Verdict.REJECT, "MalformedAddress") if recipient.endswith(b"-0") else (Verdict.RECONNECT, "NotProcessed")),
        status=0,
    )
    async with stage.at_work():
        assert "down" in (await stage.until_told()).what
        stage.lane.script = lambda _: None
        await stage.drained()
        await until(lambda: stage.desk.reports[-1] is None)
    for name in names:
        assert set((await stage.outcomes(name))[1:]) == {Outcome.ACCEPTED}


async def test_a_part_of_the_recipients_that_is_always_put_off_closes_no_lane(stage: Works) -> None:
    """Their second tries are batches of nobody else."""
    names = [await stage.put(number, 20) for number in range(10)]
    busy = refused(Verdict.RETRY, "TooManyRequests", status=429, retry_after=0.2)
    broken = refused(Verdict.RETRY, "Unavailable", status=503, retry_after=0.2)
    tries = 0

    def count(recipient: bytes) -> Any:
        nonlocal tries
        tries += recipient.endswith((b"1", b"2"))
        return {b"1": busy, b"2": broken}.get(recipient[-1:])

    stage.lane.script = count
    async with stage.at_work():
        async with asyncio.timeout(30):
            while tries < 160:  # four tries of each of them
                stage.clock.move(0.1)
                await asyncio.sleep(0.005)
                assert stage.sender.gate.look(steady()) is Pass.OPEN
        stage.lane.script = lambda _: None
        await stage.drained()
    assert stage.told == []
    assert [await stage.outcomes(name) for name in names] == [ALL * 20] * 10


async def test_hosts_that_fail_close_no_lane_to_many(stage: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LaneDouble, "many_hosts", True, raising=False)
    stage.begin_again()
    sick = [await stage.put(number, 20, campaign="sick") for number in range(6)]
    stage.lane.script = lambda recipient: (
        refused(Verdict.RETRY, "Unavailable", status=503, retry_after=0.2) if recipient.startswith(b"sick") else None
    )
    async with stage.at_work():
        async with asyncio.timeout(30):
            while len(stage.lane.flights) < 24:
                stage.clock.move(0.1)
                await asyncio.sleep(0.005)
                assert stage.sender.gate.look(steady()) is Pass.OPEN
        name = await stage.put(1)
        await until(lambda: b"c1-1-29" in stage.lane.sent)
        stage.lane.script = lambda _: None
        await stage.drained()
    assert await stage.outcomes(name) == ALL * 30
    assert stage.told == []
    assert [await stage.outcomes(name) for name in sick] == [ALL * 20] * 6


async def test_a_provider_that_is_connected_and_silent_is_named_until_it_answers(
    stage: Works, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(silence, "SILENT", 0.1)
    stage.lane.state = LaneState(connections=1)
    name = await stage.put(1)
    await stage.put(2)
    stage.lane.holds = True
    async with stage.at_work():
        await until(partial(stage.lane.has_begun, 2))
        stage.lane.flights[0].answer(10)
        problem = await stage.until_told()
        await until(lambda: stage.sender.notice is not None)
        assert stage.sender.notice == f"{problem.what}; {gate.GOES_ON}"
        assert stage.sender.gate.look(steady()) is Pass.OPEN, "what is under way may still be answered"
        assert problem.pause is None
        stage.lane.flights[0].answer(1)
        await until(lambda: stage.desk.reports[-1] is None)
        stage.lane.holds = False
        for flight in stage.lane.flights:
            flight.answer()
        await stage.drained()
    what = "the provider is connected, and has answered nothing for 0.1 seconds"
    assert stage.told[:2] == [what, None]
    assert said(caplog)[:2] == [
        f"WARNING the lane {LANE} waits: {what}; {gate.GOES_ON}",
        f"INFO the lane {LANE} sends again",
    ]
    assert await stage.outcomes(name) == ALL * 30


async def test_for_a_trial_one_batch_is_taken_and_the_others_stay_in_the_queue(stage: Works) -> None:
    names = [await stage.put(number) for number in (1, 2, 3)]
    stage.lane.holds = True
    stage.sender.gate.stop("wrong key", "mend it", steady() - 1)
    async with stage.at_work():
        await until(lambda: stage.lane.flights)
        await stage.until_queue(ready=2, leased=1)
        assert len(stage.lane.flights[0].recipients) == TRIAL
        stage.lane.holds = False
        stage.lane.flights[0].answer()
        await stage.drained()
    assert [await stage.outcomes(name) for name in names] == [ALL * 30] * 3


async def test_what_else_lands_during_a_trial_lets_no_second_one_through(stage: Works) -> None:
    for number in (1, 2, 3):
        await stage.put(number)
    stage.lane.holds = True
    async with stage.at_work():
        await until(partial(stage.lane.has_begun, 3))
        stage.sender.gate.stop("wrong key", "mend it", steady() - 1)
        stage.sender.gate.begin_trial()
        stage.lane.flights[0].cut(refused(Verdict.STOP, "Forbidden", Scope.PLATFORM))
        await stage.until_queue(delayed=1, leased=2)
        assert stage.sender.gate.look(steady() + 60) is Pass.CLOSED
        stage.sender.gate.end_trial()
        for flight in stage.lane.flights[1:]:
            flight.answer()
