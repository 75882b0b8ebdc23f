"""`Stentor.access`: put together for one configuration, and the same in every process of it."""

from __future__ import annotations

from stentor.access.caller import local_caller
from stentor.access.scopes import Scope
from stentor.access.signing import signing_key
from stentor.config import Config
from stentor.runtime.stentor import Stentor
from tests.integration.access.house import PASSWORD


async def test_two_processes_share_what_they_sign_with_and_who_is_signed_in(database_url: str) -> None:
    settings = Config.model_validate(
        {"store": {"url": database_url}, "api": {"public_url": "https://stentor.example.com"}}
    )
    async with Stentor(settings) as one, Stentor(settings) as two:
        assert await one.access.signing_key() == await two.access.signing_key()
        assert await one.access.signing_key() != await signing_key(one._resources.database)  # that one isn't given away
        link = await one.access.users.first_link()
        assert link is not None
        assert link.url.startswith("https://stentor.example.com/link/")
        await two.access.users.use_link(link.token, PASSWORD, name="grace")
        opened = await one.access.sessions.sign_in("grace", PASSWORD, address=None)
        session = await two.access.sessions.find(opened.token)
        assert session is not None
        assert session.caller.scope is Scope.ADMIN
        assert await two.access.csrf.holds(opened.token, await one.access.csrf.token(opened.token))
        assert two.access.oidc.issuer is None


async def test_what_is_being_noted_is_noted_before_the_end(database_url: str) -> None:
    settings = Config.model_validate({"store": {"url": database_url}})
    async with Stentor(settings) as stentor:
        issued = await stentor.access.keys.create(local_caller(), "shop", Scope.SEND)
        await stentor.access.keys.authenticate(issued.text)
    async with Stentor(settings) as stentor:
        assert (await stentor.access.keys.find(local_caller(), "shop")).last_used_at is not None
