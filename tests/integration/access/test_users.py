"""Users and the links that set their passwords, on both databases."""

from __future__ import annotations

import asyncio

import pytest

from stentor.access.caller import Caller
from stentor.access.log import ActionFilter
from stentor.access.scopes import Scope
from stentor.access.users import FIRST_LINKS, LINK_LASTS, Identity
from stentor.errors import (
    Forbidden,
    InvalidInput,
    InvalidState,
    LinkInvalid,
    SignInRefused,
    StentorError,
    TooManyAttempts,
    UnknownUser,
)
from stentor.store.database import Database
from stentor.store.tables import actions, links, users
from tests.integration.access.house import LOCAL, NOW, OTHER_PASSWORD, PASSWORD, House


async def test_a_user_signs_in_with_the_password_and_its_role(house: House) -> None:
    made = await house.users.add(LOCAL, "Grace.Hopper@example.com", Scope.SEND, password=PASSWORD)
    assert (made.role, made.created_by, made.password_at) == (Scope.SEND, "ada", NOW)
    opened = await house.sign_in("grace.hopper@EXAMPLE.com ")
    assert opened.session.caller == Caller(made.id, "Grace.Hopper@example.com", "user", Scope.SEND)
    assert (await house.users.find(LOCAL, "GRACE.hopper@example.com")).signed_in_at == NOW
    assert (await house.users.find(LOCAL, made.id)).id == made.id


async def test_no_password_is_kept(house: House) -> None:
    await house.user()
    kept = [await house.rows(table) for table in (users, actions)]
    assert PASSWORD not in repr(kept)
    assert "$argon2id$" in repr(kept)
    assert "$argon2id$" not in repr([await house.users.page(LOCAL), await house.actions()])


async def test_two_users_have_no_name_in_common(house: House) -> None:
    ends = await asyncio.gather(
        *(each.users.add(LOCAL, name, Scope.VIEW) for each, name in ((house, "Ada"), (house.neighbour(), "ADA"))),
        return_exceptions=True,
    )
    assert sorted(type(end).__name__ for end in ends) == ["InvalidState", "User"]
    assert len(await house.users.page(LOCAL)) == 1
    with pytest.raises(InvalidState, match="there is a user 'aDA' already"):
        await house.users.add(LOCAL, "aDA", Scope.VIEW)
    assert [each.action for each in await house.actions()] == ["user.add"]


@pytest.mark.parametrize("name", ["", " ", "a b", "a\n", "<b>", "x" * 101, "a/b"])
async def test_a_name_has_letters_digits_and_little_else(house: House, name: str) -> None:
    if name == "a\n":
        assert (await house.users.add(LOCAL, name, Scope.VIEW)).name == "a"  # what stands around it doesn't count
        return
    with pytest.raises(InvalidInput, match=r"^name: must be 1 to 100 letters, digits, and any of \. _ @ \+ -$"):
        await house.users.add(LOCAL, name, Scope.VIEW)


async def test_users_are_listed_by_name_page_by_page(house: House) -> None:
    for name in ("carol", "Ada", "bob"):
        await house.users.add(LOCAL, name, Scope.VIEW)
    first = await house.users.page(LOCAL, limit=2)
    second = await house.users.page(LOCAL, after=first[-1].name, limit=2)
    assert [each.name for each in [*first, *second]] == ["Ada", "bob", "carol"]


async def test_a_new_role_counts_at_once(house: House) -> None:
    user = await house.user()
    opened = await house.sign_in()
    await house.users.set_role(LOCAL, user.id, Scope.VIEW)
    session = await house.neighbour().sessions.find(opened.token)
    assert session is not None
    assert session.caller.scope is Scope.VIEW


async def test_a_new_password_ends_all_sessions_and_the_old_one(house: House) -> None:
    user = await house.user()
    opened = await house.sign_in()
    await house.users.set_password(LOCAL, user.id, OTHER_PASSWORD)
    assert await house.sessions.find(opened.token) is None
    with pytest.raises(SignInRefused):
        await house.sign_in()
    await house.sign_in(password=OTHER_PASSWORD)
    with pytest.raises(InvalidInput, match="password: is shorter"):
        await house.users.set_password(LOCAL, user.id, "short")


async def test_users_change_their_own_password_if_they_know_it(house: House) -> None:
    user = await house.user(role=Scope.VIEW)
    opened = await house.sign_in()
    with pytest.raises(SignInRefused, match="the old password is wrong"):
        await house.users.change_password(user.caller, "wrong", OTHER_PASSWORD)
    with pytest.raises(InvalidInput, match="shorter"):
        await house.users.change_password(user.caller, PASSWORD, "short")
    await house.users.change_password(user.caller, PASSWORD, OTHER_PASSWORD)
    assert await house.sessions.find(opened.token) is None
    await house.sign_in(password=OTHER_PASSWORD)
    with pytest.raises(Forbidden):
        await house.users.change_password(Caller("k", "shop", "key", Scope.ADMIN), PASSWORD, OTHER_PASSWORD)


async def test_a_stolen_session_is_no_way_to_guess_the_password(house: House) -> None:
    user = await house.user()
    for _ in range(6):
        with pytest.raises(SignInRefused):
            await house.users.change_password(user.caller, "wrong", OTHER_PASSWORD)
    with pytest.raises(TooManyAttempts):
        await house.users.change_password(user.caller, PASSWORD, OTHER_PASSWORD)


async def test_a_disabled_user_is_out_at_once(house: House) -> None:
    user = await house.user()
    opened = await house.sign_in()
    link = await house.users.link(LOCAL, user.id)
    assert (await house.users.disable(LOCAL, user.id)).disabled_at == NOW
    assert await house.neighbour().sessions.find(opened.token) is None
    with pytest.raises(SignInRefused):
        await house.sign_in()
    with pytest.raises(LinkInvalid):
        await house.users.use_link(link.token, OTHER_PASSWORD)
    with pytest.raises(InvalidState, match="grace is disabled; `stentor user enable grace` first"):
        await house.users.link(LOCAL, user.id)
    await house.users.enable(LOCAL, user.id)
    assert await house.sessions.find(opened.token) is None  # what has ended stays so
    await house.sign_in()


async def test_the_last_admin_stays_one_but_for_the_command_line(house: House) -> None:
    first, second = await house.user("one", Scope.ADMIN), await house.user("two", Scope.ADMIN)
    await house.users.add(LOCAL, "cannot-sign-in", Scope.ADMIN)
    await house.users.set_role(first.caller, second.id, Scope.VIEW)
    for refused in (
        house.users.disable(first.caller, first.id),
        house.users.set_role(first.caller, first.id, Scope.SEND),
    ):
        with pytest.raises(InvalidState, match="one is the last admin; make another one first"):
            await refused
    await house.users.set_role(first.caller, first.id, Scope.ADMIN)
    await house.users.disable(LOCAL, first.id)


async def test_two_admins_who_disable_each_other_leave_one(house: House) -> None:
    first, second = await house.user("one", Scope.ADMIN), await house.user("two", Scope.ADMIN)
    ends = await asyncio.gather(
        house.users.disable(first.caller, second.id),
        house.neighbour().users.disable(second.caller, first.id),
        return_exceptions=True,
    )
    assert sorted(type(end).__name__ for end in ends) == ["InvalidState", "User"]
    assert sum(each.disabled_at is None for each in await house.users.page(LOCAL)) == 1


# -- one-time links ----------------------------------------------------------------------------------------------------


async def test_the_first_link_makes_the_first_admin_once(house: House) -> None:
    link = await house.users.first_link()
    assert link is not None
    assert link.user is None
    assert link.ends_at == NOW + LINK_LASTS
    assert link.url == f"/link/{link.token}"
    assert (await house.users.look_at_link(link.token)).user is None  # looking at it uses nothing up
    admin = await house.users.use_link(link.token, PASSWORD, name="grace")
    assert admin.role is Scope.ADMIN
    assert (await house.sign_in()).session.caller.scope is Scope.ADMIN
    for again in (house.users.look_at_link(link.token), house.users.use_link(link.token, PASSWORD, name="eve")):
        with pytest.raises(LinkInvalid):
            await again
    assert await house.users.first_link() is None
    assert await house.did() == [("user.add", "done"), ("session.begin", "done")]


async def test_of_many_first_links_one_makes_an_admin(house: House) -> None:
    """Each process that starts prints one; whoever comes second finds an admin."""
    found = [await each.users.first_link() for each in (house, house.neighbour(), house.neighbour())]
    ends = await asyncio.gather(
        *(house.users.use_link(link.token, PASSWORD, name=f"user{n}") for n, link in enumerate(found) if link),
        return_exceptions=True,
    )
    assert sorted(type(end).__name__ for end in ends) == ["LinkInvalid", "LinkInvalid", "User"]
    assert len(await house.users.page(LOCAL)) == 1


async def test_a_first_link_is_worth_nothing_once_there_is_a_user(house: House) -> None:
    link = await house.users.first_link()
    assert link
    await house.users.add(LOCAL, "ada", Scope.VIEW)
    with pytest.raises(LinkInvalid):
        await house.users.use_link(link.token, PASSWORD, name="eve")
    assert await house.users.first_link() is None


async def test_a_first_link_makes_no_second_admin_beside_a_user_who_just_came(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, hash_ = await house.users.first_link(), house.hasher.hash
    assert link

    async def slow(password: str) -> str:
        await house.users.from_provider(Identity(issuer="https://x", subject="1", name="grace", role=Scope.ADMIN))
        return await hash_(password)

    monkeypatch.setattr(house.hasher, "hash", slow)
    with pytest.raises(LinkInvalid):
        await house.users.use_link(link.token, PASSWORD, name="eve")
    assert [each.name for each in await house.users.page(LOCAL)] == ["grace"]


async def test_first_links_are_bounded(house: House) -> None:
    newest = None
    for _ in range(FIRST_LINKS + 5):
        house.clock.now += 1
        newest = await house.users.first_link()
    assert newest
    assert len(await house.rows(links)) == FIRST_LINKS
    await house.users.use_link(newest.token, PASSWORD, name="grace")


async def test_a_refused_password_does_not_use_a_link_up(house: House) -> None:
    link = await house.users.first_link()
    assert link
    for name, password in (("grace", "short"), ("", PASSWORD), ("a b", PASSWORD), ("grace", "grace grace grace")):
        with pytest.raises(InvalidInput):
            await house.users.use_link(link.token, password, name=name)
    await house.users.use_link(link.token, PASSWORD, name="grace")


async def test_a_link_sets_the_password_of_its_user_and_ends_the_sessions(house: House) -> None:
    user = await house.user()
    opened = await house.sign_in()
    link = await house.users.link(LOCAL, user.id)
    assert link.user is not None
    assert link.user.id == user.id
    await house.sign_in()  # the old password is good until the link is used
    await house.neighbour().users.use_link(link.token, OTHER_PASSWORD, name="eve")
    assert await house.sessions.find(opened.token) is None
    assert (await house.sign_in(password=OTHER_PASSWORD)).session.user.name == "grace"
    for again in (house.users.look_at_link(link.token), house.users.use_link(link.token, PASSWORD)):
        with pytest.raises(LinkInvalid):
            await again


async def test_two_who_use_a_link_at_once_set_one_password(house: House) -> None:
    user = await house.user()
    link = await house.users.link(LOCAL, user.id)
    passwords = [PASSWORD, OTHER_PASSWORD]
    ends = await asyncio.gather(
        *(
            each.users.use_link(link.token, password)
            for each, password in zip((house, house.neighbour()), passwords, strict=True)
        ),
        return_exceptions=True,
    )
    assert sorted(type(end).__name__ for end in ends) == ["LinkInvalid", "User"]
    winner = next(n for n, end in enumerate(ends) if not isinstance(end, BaseException))
    await house.sign_in(password=passwords[winner])


async def test_a_newer_link_replaces_the_one_before(house: House) -> None:
    user = await house.user()
    older = await house.users.link(LOCAL, user.id)
    newer = await house.users.link(LOCAL, user.id)
    with pytest.raises(LinkInvalid):
        await house.users.look_at_link(older.token)
    await house.users.set_password(LOCAL, user.id, OTHER_PASSWORD)
    with pytest.raises(LinkInvalid):
        await house.users.look_at_link(newer.token)  # whoever stole it comes too late


async def test_a_link_ends_after_a_day(house: House) -> None:
    user = await house.user()
    first = await house.users.link(LOCAL, user.id)
    house.clock.now += LINK_LASTS
    with pytest.raises(LinkInvalid):
        await house.users.use_link(first.token, OTHER_PASSWORD)


@pytest.mark.parametrize("token", ["", "x", "x" * 100_000, "é\ud800"])
async def test_what_is_no_link(house: House, token: str) -> None:
    with pytest.raises(LinkInvalid):
        await house.users.use_link(token, PASSWORD, name="grace")


async def test_the_token_of_a_link_is_not_kept(house: House) -> None:
    user = await house.user()
    link = await house.users.link(LOCAL, user.id)
    assert link.token not in repr([await house.rows(table) for table in (links, actions, users)])
    assert link.token not in repr(link)


async def test_links_begin_with_the_address_of_the_dashboard(database: Database) -> None:
    house = House(database, public_url="https://stentor.example.com/push")
    link = await house.users.first_link()
    assert link
    assert link.url == f"https://stentor.example.com/push/link/{link.token}"
    await house.aclose()


async def test_a_link_forgives_failed_sign_ins(house: House) -> None:
    """So that whoever was locked out by somebody else can get in again."""
    user = await house.user()
    for _ in range(6):
        with pytest.raises(SignInRefused):
            await house.sign_in(password="wrong")
    with pytest.raises(TooManyAttempts):
        await house.sign_in()
    link = await house.users.link(LOCAL, user.id)
    await house.users.use_link(link.token, OTHER_PASSWORD)
    await house.sign_in(password=OTHER_PASSWORD)


async def test_only_an_admin_manages_users(house: House) -> None:
    user = await house.user()
    by = user.caller
    before = len(await house.actions())
    for refused in (
        house.users.add(by, "eve", Scope.ADMIN),
        house.users.page(by),
        house.users.find(by, "grace"),
        house.users.set_role(by, user.id, Scope.ADMIN),
        house.users.set_password(by, user.id, OTHER_PASSWORD),
        house.users.disable(by, user.id),
        house.users.enable(by, user.id),
        house.users.link(by, user.id),
    ):
        with pytest.raises(Forbidden):
            await refused
    assert len(await house.actions()) == before


async def test_nobody_is_named_and_changed_in_the_wrong_place(house: House) -> None:
    operations = [house.users.disable, house.users.enable, house.users.link]
    for operation in operations:
        with pytest.raises(UnknownUser):
            await operation(LOCAL, "nobody")
    with pytest.raises(UnknownUser, match="there is no user 'nobody'"):
        await house.users.find(LOCAL, "nobody")


async def test_what_is_done_to_users_is_written_down(house: House) -> None:
    user = await house.user()
    await house.users.set_role(LOCAL, user.id, Scope.VIEW)
    await house.users.set_password(LOCAL, user.id, OTHER_PASSWORD)
    await house.users.disable(LOCAL, user.id)
    await house.users.enable(LOCAL, user.id)
    await house.users.link(LOCAL, user.id)
    found = await house.actions(ActionFilter(object=user.id))
    done = [each.action for each in reversed(found)]
    assert done == ["user.add", "user.role", "user.password", "user.disable", "user.enable", "user.link"]
    assert {(each.caller_name, each.caller_kind) for each in found} == {("ada", "local")}


async def test_a_change_that_fails_is_not_written_down(house: House) -> None:
    admin = await house.user("one", Scope.ADMIN)
    before = await house.did()
    with pytest.raises(StentorError):
        await house.users.disable(admin.caller, admin.id)
    assert await house.did() == before
