"""Sign-in and sessions, on both databases: refused alike, locked out over all processes, ended at any time."""

from __future__ import annotations

import asyncio

import pytest

from stentor.access import lockout
from stentor.access import sessions as module
from stentor.access.hashing import Hasher
from stentor.access.lockout import FORGOTTEN_AFTER, FREE_BY_ADDRESS, FREE_BY_USER, LONGEST_WAIT
from stentor.access.log import ActionFilter
from stentor.access.scopes import Scope
from stentor.access.sessions import MOST, REFUSALS
from stentor.config import AccessConfig
from stentor.errors import Forbidden, SignInRefused, StoreUnavailable, TooManyAttempts
from stentor.store.database import Database
from stentor.store.tables import actions, attempts, sessions, users
from tests.integration.access.house import HERE, LOCAL, NOW, PASSWORD, THERE, House


async def refused(house: House, name: str = "grace", password: str = "wrong", address: str | None = HERE) -> float:
    """Try in vain to sign in. Returns: seconds to wait, if there were too many attempts; else 0."""
    try:
        await house.sign_in(name, password, address)
    except SignInRefused:
        return 0.0
    except TooManyAttempts as error:
        return error.retry_after
    raise AssertionError("that was not refused")


# -- sessions ----------------------------------------------------------------------------------------------------------


async def test_a_session_is_known_in_every_process_until_it_ends(house: House) -> None:
    user = await house.user()
    opened = await house.sign_in()
    session = await house.neighbour().sessions.find(opened.token)
    assert session is not None
    assert session.caller == user.caller
    assert session.id == opened.session.id
    await house.sessions.end(opened.token)
    assert await house.neighbour().sessions.find(opened.token) is None
    await house.sessions.end(opened.token)  # signing out twice is no mistake
    assert await house.did() == [("user.add", "done"), ("session.begin", "done"), ("session.end", "done")]


async def test_only_the_hash_of_a_session_is_kept(house: House) -> None:
    await house.user()
    opened = await house.sign_in()
    assert len(opened.token) == 43
    assert opened.token not in repr([await house.rows(table) for table in (sessions, actions, users)])
    assert opened.token not in repr(opened)


async def test_a_sign_in_has_a_new_token_and_ends_the_session_before(house: House) -> None:
    await house.user()
    first = await house.sign_in()
    second = await house.sign_in(previous=first.token)
    assert first.token != second.token
    assert await house.sessions.find(first.token) is None
    assert await house.sessions.find(second.token) is not None
    await house.sign_in(previous="made up by an attacker")
    assert await house.sessions.find("made up by an attacker") is None


async def test_a_session_ends_when_nobody_uses_it(database: Database) -> None:
    house = House(database, settings=AccessConfig(session_idle=600, session_lasts=100_000))
    await house.user()
    opened = await house.sign_in()
    for _ in range(8):
        house.clock.now += 599
        assert await house.sessions.find(opened.token) is not None
    house.clock.now += 600
    assert await house.sessions.find(opened.token) is None
    await house.aclose()


async def test_a_session_ends_however_much_it_is_used(database: Database) -> None:
    house = House(database, settings=AccessConfig(session_idle=600, session_lasts=1000))
    await house.user()
    opened = await house.sign_in()
    assert opened.session.ends_at == NOW + 1000
    for seconds in (400, 800, 999):
        house.clock.now = NOW + seconds
        assert await house.sessions.find(opened.token) is not None
    house.clock.now = NOW + 1000
    assert await house.sessions.find(opened.token) is None
    await house.sign_in()
    assert len(await house.rows(sessions)) == 1  # the one that is over was deleted
    await house.aclose()


async def test_looking_at_pages_writes_once_a_minute(house: House) -> None:
    await house.user()
    opened = await house.sign_in()
    statements = house.statements()
    for _ in range(5):
        await house.sessions.find(opened.token)
    assert not any(statement.startswith("UPDATE") for statement in statements)
    house.clock.now += 60
    for _ in range(5):
        await house.sessions.find(opened.token)
    assert sum(statement.startswith("UPDATE") for statement in statements) == 1


async def test_a_use_that_cannot_be_noted_holds_nobody_up(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await house.user()
    opened = await house.sign_in()
    house.clock.now += 60

    async def away(_change: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(house.database, "write", away)
    assert await house.sessions.find(opened.token) is not None
    assert "could not be noted" in caplog.text


@pytest.mark.parametrize("token", ["", "x", "x" * 100_000, "é\ud800"])
async def test_what_is_no_session(house: House, token: str) -> None:
    assert await house.sessions.find(token) is None
    await house.sessions.end(token)


async def test_a_user_has_a_bounded_number_of_sessions(house: House) -> None:
    user = await house.user()
    opened = []
    for _ in range(MOST + 2):
        house.clock.now += 1
        opened.append(await house.sign_in())
    alive = [await house.sessions.find(each.token) is not None for each in opened]
    assert alive == [False] * 2 + [True] * MOST
    listed = await house.sessions.of_user(LOCAL, user.id)
    assert [each.id for each in listed] == [each.session.id for each in reversed(opened[2:])]


async def test_sessions_are_ended_one_by_one_or_all(house: House) -> None:
    user, other = await house.user(), await house.user("eve", Scope.SEND)
    first, second, third = [await house.sign_in() for _ in range(3)]
    hers = await house.sign_in("eve")
    assert await house.sessions.end_all(user.caller, user.id, only=first.session.id) == 1
    assert await house.sessions.find(first.token) is None
    assert await house.sessions.end_all(user.caller, user.id, besides=third.session.id) == 1
    assert await house.sessions.find(second.token) is None
    assert await house.sessions.find(third.token) is not None
    assert await house.sessions.end_all(user.caller, user.id, only=hers.session.id) == 0
    for forbidden in (
        house.sessions.end_all(other.caller, user.id),
        house.sessions.of_user(other.caller, user.id),
    ):
        with pytest.raises(Forbidden):
            await forbidden
    assert await house.sessions.end_all(LOCAL, user.id) == 1
    assert await house.sessions.find(hers.token) is not None


# -- refusals ----------------------------------------------------------------------------------------------------------


async def test_a_refusal_says_the_same_whoever_there_is(house: House) -> None:
    await house.user()
    await house.users.add(LOCAL, "no-password-yet", Scope.VIEW)
    disabled = await house.user("disabled")
    await house.users.disable(LOCAL, disabled.id)
    said = set()
    for name, password in (
        ("grace", "wrong"),
        ("nobody", PASSWORD),
        ("no-password-yet", ""),
        ("disabled", PASSWORD),
        ("grace", PASSWORD + "x" * 1000),
        ("x" * 10_000, PASSWORD),
        ("grace\ud800\0", PASSWORD),
        ("grace", "wrong\ud800\0"),
    ):
        with pytest.raises(SignInRefused) as error:
            await house.sign_in(name, password, None)
        said.add(str(error.value))
    assert said == {"The name or the password is wrong."}


async def test_a_refusal_costs_the_same_whoever_there_is(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same statements and the same hashes, so that nobody learns from the time who there is."""
    await house.user()
    await house.sign_in()
    statements = house.statements()
    hashed: list[int] = []
    matches = house.hasher._matches

    def noted(stored: str, given: str) -> bool:
        hashed.append(len(stored))
        return matches(stored, given)

    monkeypatch.setattr(house.hasher, "_matches", noted)
    costs = []
    for name in ("grace", "nobody"):
        statements.clear()
        hashed.clear()
        assert await refused(house, name) == 0
        costs.append(([*statements], [*hashed]))
    assert costs[0] == costs[1]


async def test_neither_names_nor_addresses_are_kept(house: House) -> None:
    """People type their password where the name belongs."""
    await house.user()
    await refused(house, "typed a password here")
    await refused(house)
    kept = repr([await house.rows(table) for table in (attempts, actions)])
    assert "typed" not in kept
    assert HERE not in kept
    told = [each.detail for each in await house.actions(ActionFilter(outcome="refused"))]
    assert told == ["from 198.51.100.0/24, 1 in a row"] * 2


async def test_failures_in_a_row_are_locked_out_ever_longer_in_all_processes(house: House) -> None:
    await house.user()
    other = house.neighbour()
    for _ in range(FREE_BY_USER):
        assert await refused(house) == 0
    assert await refused(other, address=THERE) == 0  # the sixth is looked at, and locks
    assert await refused(house) == 2
    assert await refused(other, password=PASSWORD, address=None) == 2  # even the right one is not looked at
    house.clock.now += 2
    assert await refused(other) == 0
    assert await refused(house) == 4
    for _ in range(20):
        house.clock.now += LONGEST_WAIT
        assert await refused(house, address=None) == 0
    assert await refused(other) == LONGEST_WAIT
    house.clock.now += LONGEST_WAIT
    await other.sign_in()
    assert await refused(house) == 0  # a success starts the count anew


async def test_names_that_do_not_exist_are_locked_out_alike(house: House) -> None:
    await house.user()
    waits = {}
    for name in ("grace", "nobody"):
        waits[name] = [await refused(house, name, address=None) for _ in range(FREE_BY_USER + 3)]
    assert waits["grace"] == waits["nobody"]
    assert waits["grace"][-1] > 0


async def test_many_attempts_at_once_get_no_further_than_one_after_the_other(house: House) -> None:
    await house.user()
    processes = [house, house.neighbour(), house.neighbour()]
    ends = await asyncio.gather(*(refused(processes[n % 3], address=None) for n in range(24)))
    assert sum(wait == 0 for wait in ends) == FREE_BY_USER + 1
    (row,) = await house.rows(attempts)
    assert row["failures"] == FREE_BY_USER + 1


async def test_an_address_is_locked_out_whatever_names_it_tries(house: House) -> None:
    await house.user()
    for number in range(FREE_BY_ADDRESS + 1):
        assert await refused(house, f"user{number}", address=f"2001:db8::{number:x}") == 0  # one customer's network
    assert await refused(house.neighbour(), "another", address="2001:db8::ffff") == 2
    await house.sign_in(address=HERE)
    house.clock.now += 2
    await house.sign_in(address="2001:db8::1")  # it is one less failure, not none
    assert await refused(house, "another", address="2001:db8::1") == 0
    assert await refused(house, "another", address="2001:db8::1") == 4


async def test_a_success_of_ones_own_is_no_way_around_the_count_of_an_address(house: House) -> None:
    await house.user("mallory")
    looked_at = 0
    for number in range(3 * FREE_BY_ADDRESS):
        looked_at += await refused(house, f"user{number}") == 0
        if number < FREE_BY_ADDRESS:
            await house.sign_in("mallory")
    assert looked_at == FREE_BY_ADDRESS + 1


async def test_a_success_lifts_no_lock_that_a_later_failure_made(house: House) -> None:
    """A slow sign-in of one person, while another one guesses from the same address."""
    key = await house.signer.key(lockout.PURPOSE)
    for number in range(FREE_BY_ADDRESS):
        await refused(house, f"user{number}")
    slow = await lockout.begin(house.database, key, "grace", HERE, house.clock.now)
    house.clock.now += 2
    assert await refused(house, "another") == 0
    await house.database.write(lambda connection: lockout.succeed(connection, slow))
    assert await refused(house, "another") == 4


async def test_old_failures_are_forgotten_and_deleted(house: House) -> None:
    await house.user()
    for _ in range(FREE_BY_USER):
        await refused(house)
    house.clock.now += FORGOTTEN_AFTER + 1
    assert await refused(house) == 0
    assert await refused(house) == 0
    for number in range(30):
        await refused(house, f"user{number}", address=None)
    house.clock.now += FORGOTTEN_AFTER + 1
    for _ in range(3):
        await refused(house)
    assert len(await house.rows(attempts)) == 2


async def test_a_clock_that_was_set_back_locks_nobody_out_for_longer(house: House) -> None:
    await house.user()
    for _ in range(FREE_BY_USER + 1):
        await refused(house)
    house.clock.now -= 90 * 86_400
    assert 0 < await refused(house) <= LONGEST_WAIT


async def test_refused_sign_ins_fill_the_log_only_so_fast(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFUSALS", 3)
    assert REFUSALS <= 100
    for number in range(8):
        await refused(house, f"user{number}", address=None)
    assert len(await house.actions()) == 3
    house.clock.now += module.REFUSALS_EVERY
    await refused(house, "another", address=None)
    assert (await house.actions())[0].detail.endswith("; and 5 more before it")


async def test_a_flood_of_sign_ins_is_turned_away_before_it_costs_anything(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stentor.access.hashing.WAITING", 2)
    await house.user()
    ends = await asyncio.gather(*(refused(house, f"user{number}", address=None) for number in range(10)))
    assert sum(wait == 0 for wait in ends) == 2
    assert len(await house.rows(attempts)) == 2


async def test_an_outdated_hash_is_made_anew_at_sign_in(house: House) -> None:
    await house.user()
    (before,) = await house.rows(users)
    stronger = house.neighbour()
    stronger.sessions._hasher = Hasher(passes=2, memory=128)
    await stronger.sign_in()
    (after,) = await house.rows(users)
    assert "t=1" in before["password"]
    assert "m=128,t=2" in after["password"]
    await house.sign_in()
    stronger.sessions._hasher.close()


async def test_whoever_is_disabled_while_signing_in_gets_no_session(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await house.user()
    verify = house.hasher.verify

    async def slow(stored: str | None, password: str) -> bool:
        right = await verify(stored, password)
        await house.neighbour().users.disable(LOCAL, user.id)
        return right

    monkeypatch.setattr(house.hasher, "verify", slow)
    with pytest.raises(SignInRefused):
        await house.sign_in()
    assert await house.rows(sessions) == []


async def test_a_password_that_was_changed_while_signing_in_is_not_put_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session that the old one began doesn't outlive the change."""
    user = await house.user()
    verify = house.hasher.verify

    async def slow(stored: str | None, password: str) -> bool:
        right = await verify(stored, password)
        await house.neighbour().users.set_password(LOCAL, user.id, "velvet anchor thirty plums")
        return right

    monkeypatch.setattr(house.hasher, "verify", slow)
    with pytest.raises(SignInRefused):
        await house.sign_in()
    assert await house.rows(sessions) == []
