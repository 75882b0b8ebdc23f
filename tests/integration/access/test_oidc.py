"""Signing in at an OpenID provider: the whole way, and all that must be refused on it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from stentor.access import oidc as module
from stentor.access.oidc import TICKET_LASTS, OidcSignIn, SignInArrival
from stentor.access.oidc_provider import FAILED_FOR, KEYS_EVERY, LARGEST, OidcProvider
from stentor.access.scopes import Scope
from stentor.cli.access_checks import check_access
from stentor.config import AccessConfig, OidcConfig
from stentor.errors import InvalidConfiguration, InvalidState, SignInRefused, SignInUnavailable, TooManyAttempts
from stentor.store.database import Database
from stentor.store.tables import sessions
from tests.integration.access.house import LOCAL, PASSWORD, House
from tests.integration.access.openid import CLIENT, SECRET, OpenIdProvider, run_provider

PUBLIC_URL = "https://stentor.example.com"
ROLES: dict[str, Any] = {"push-editors": "send", "push-admins": "admin", "staff": "view"}


class SignIn:
    """A Stentor that knows a provider; `neighbour` is another process of it."""

    def __init__(self, house: House, provider: OpenIdProvider, settings: AccessConfig) -> None:
        self.house = house
        self.provider = provider
        self.settings = settings
        self.door = self.process(house)

    def process(self, house: House) -> OidcSignIn:
        return OidcSignIn(self.settings, PUBLIC_URL, house.clock, house.signer, house.users, house.sessions)

    def changed(self, **changes: Any) -> OidcSignIn:
        """With other settings of the provider."""
        oidc = self.settings.oidc.model_copy(update=changes)
        settings = self.settings.model_copy(update={"oidc": oidc})
        house = self.house
        return OidcSignIn(settings, PUBLIC_URL, house.clock, house.signer, house.users, house.sessions)

    async def whole(self, door: OidcSignIn | None = None, **query: str) -> SignInArrival:
        """The whole way, with what the browser brings back changed by `query`."""
        door = door or self.door
        journey = await door.begin("/campaigns")
        return await door.finish(journey.ticket, self.provider.authorize(journey.url) | query)


BOTH = pytest.mark.parametrize("provider", ["RS256", "ES256"], indirect=True)


@pytest.fixture
async def provider(request: pytest.FixtureRequest, tmp_path: Path, house: House) -> AsyncIterator[OpenIdProvider]:
    async with run_provider(tmp_path, getattr(request, "param", "ES256"), house.clock) as provider:
        yield provider


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """What is about the provider needs one database; test_users.py and test_sessions.py use both."""
    return f"sqlite:///{tmp_path / 'stentor.db'}"


@pytest.fixture
def sign_in(house: House, provider: OpenIdProvider, tmp_path: Path) -> SignIn:
    secret = tmp_path / "secret.txt"
    secret.write_text(f"{SECRET}\n")
    oidc = OidcConfig(
        issuer=provider.issuer, client_id=CLIENT, client_secret_file=secret, roles=ROLES, ca_file=provider.ca_file
    )
    return SignIn(house, provider, AccessConfig(oidc=oidc))


@BOTH
async def test_somebody_signs_in_and_becomes_a_user(sign_in: SignIn) -> None:
    arrival = await sign_in.whole()
    assert arrival.back == "/campaigns"
    user = arrival.opened.session.user
    assert (user.name, user.role, user.issuer) == ("grace", Scope.SEND, sign_in.provider.issuer)
    assert await sign_in.house.sessions.find(arrival.opened.token) is not None
    again = await sign_in.whole()
    assert again.opened.session.user.id == user.id
    assert await sign_in.house.did() == [("user.add", "done"), ("session.begin", "done"), ("session.begin", "done")]
    assert sign_in.provider.asked.count("/.well-known/openid-configuration") == 1
    assert sign_in.provider.asked.count("/jwks") == 1


async def test_any_process_can_finish_what_another_began(sign_in: SignIn) -> None:
    journey = await sign_in.door.begin()
    other = sign_in.process(sign_in.house.neighbour())
    await other.finish(journey.ticket, sign_in.provider.authorize(journey.url))


async def test_neither_ticket_nor_url_has_the_verifier(sign_in: SignIn) -> None:
    journey = await sign_in.door.begin()
    query = parse_qs(urlsplit(journey.url).query)
    key = await sign_in.house.signer.key(module.PURPOSE)
    verifier = module._verifier(key, query["state"][0])
    assert 43 <= len(verifier) <= 128
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    assert query["code_challenge"] == [digest]
    assert verifier not in journey.url
    assert verifier not in base64.urlsafe_b64decode(journey.ticket + "==").decode("latin-1")
    assert query["ui"] == ["plain"]  # what the provider's own address has stays
    assert journey.ticket not in repr(journey)


async def test_the_role_is_what_the_provider_says_each_time(sign_in: SignIn) -> None:
    first = await sign_in.whole()
    sign_in.provider.claims["groups"] = ["push-admins", "push-editors"]
    assert (await sign_in.whole()).opened.session.caller.scope is Scope.ADMIN
    session = await sign_in.house.sessions.find(first.opened.token)
    assert session is not None
    assert session.caller.scope is Scope.ADMIN
    sign_in.provider.claims["groups"] = "staff"
    assert (await sign_in.whole()).opened.session.caller.scope is Scope.VIEW
    assert [action for action, _ in await sign_in.house.did()].count("user.role") == 2
    with pytest.raises(InvalidState, match="has the role that https://localhost:"):
        await sign_in.house.users.set_role(LOCAL, first.opened.session.user.id, Scope.ADMIN)


async def test_whoever_has_no_role_is_refused_and_loses_sessions(sign_in: SignIn) -> None:
    sign_in.provider.claims["groups"] = ["everybody"]
    with pytest.raises(SignInRefused, match="gives you no role here; ask an admin"):
        await sign_in.whole()
    assert await sign_in.house.users.page(LOCAL) == []
    sign_in.provider.claims["groups"] = ["staff"]
    opened = (await sign_in.whole()).opened
    sign_in.provider.claims["groups"] = []
    with pytest.raises(SignInRefused):
        await sign_in.whole()
    assert await sign_in.house.sessions.find(opened.token) is None
    assert (await sign_in.house.actions())[0].outcome == "refused"


async def test_nobody_takes_over_a_user_by_having_the_same_name(sign_in: SignIn) -> None:
    local = await sign_in.house.user("Grace", Scope.ADMIN)
    first = (await sign_in.whole()).opened.session.user
    assert first.id != local.id
    assert first.name.startswith("grace-")
    sign_in.provider.claims["sub"] = "somebody else of this name"
    second = (await sign_in.whole()).opened.session.user
    assert len({local.name, first.name, second.name}) == 3
    assert (await sign_in.house.sign_in("Grace")).session.user.id == local.id


async def test_a_new_name_there_makes_no_new_user_here(sign_in: SignIn) -> None:
    first = (await sign_in.whole()).opened.session.user
    sign_in.provider.claims["preferred_username"] = "grace.hopper"
    assert (await sign_in.whole()).opened.session.user.id == first.id


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("Grace Hopper", "Grace-Hopper"),
        ("<script>", "script"),
        ("", "248289761001"),
        (7, "248289761001"),
        ("x" * 200, "x" * 100),
    ],
)
async def test_whatever_name_a_provider_tells_can_be_used(sign_in: SignIn, given: object, name: str) -> None:
    sign_in.provider.claims["preferred_username"] = given
    assert (await sign_in.whole()).opened.session.user.name == name


async def test_such_a_user_has_no_password_here(sign_in: SignIn) -> None:
    user = (await sign_in.whole()).opened.session.user
    for refused in (
        sign_in.house.users.set_password(LOCAL, user.id, PASSWORD),
        sign_in.house.users.link(LOCAL, user.id),
        sign_in.house.users.change_password(user.caller, "", PASSWORD),
    ):
        with pytest.raises(InvalidState, match="has no password here"):
            await refused
    with pytest.raises(SignInRefused):
        await sign_in.house.sign_in("grace", "")


async def test_a_user_who_is_disabled_here_stays_out(sign_in: SignIn) -> None:
    user = (await sign_in.whole()).opened.session.user
    await sign_in.house.users.disable(LOCAL, user.id)
    with pytest.raises(SignInRefused, match="grace is disabled here; ask an admin"):
        await sign_in.whole()
    assert await sign_in.house.rows(sessions) == []


# -- what the browser brings -------------------------------------------------------------------------------------------


async def test_a_code_is_good_once(sign_in: SignIn) -> None:
    journey = await sign_in.door.begin()
    query = sign_in.provider.authorize(journey.url)
    await sign_in.door.finish(journey.ticket, query)
    with pytest.raises(SignInRefused, match="doesn't take this code"):
        await sign_in.door.finish(journey.ticket, query)


async def test_somebody_elses_answer_is_refused(sign_in: SignIn) -> None:
    """An attacker has a victim's browser come back with the attacker's own code."""
    attacker, victim = await sign_in.door.begin(), await sign_in.door.begin()
    planted = sign_in.provider.authorize(attacker.url)
    mine = sign_in.provider.authorize(victim.url)
    for query in (planted, planted | {"state": mine["state"]}, {"code": mine["code"]}, mine | {"state": "é\ud800"}):
        with pytest.raises(SignInRefused):
            await sign_in.door.finish(victim.ticket, query)
    assert await sign_in.house.rows(sessions) == []


async def test_a_ticket_ends_after_ten_minutes_and_cannot_be_made_up(sign_in: SignIn) -> None:
    journey = await sign_in.door.begin()
    query = sign_in.provider.authorize(journey.url)
    csrf = await sign_in.house.csrf.token("x")
    for ticket in ("", "x" * 100_000, journey.ticket[:-2] + "AA", csrf):
        with pytest.raises(SignInRefused, match="begun in another browser"):
            await sign_in.door.finish(ticket, query)
    sign_in.house.clock.now += TICKET_LASTS
    with pytest.raises(SignInRefused, match="took too long"):
        await sign_in.door.finish(journey.ticket, query)


async def test_an_error_of_the_provider_is_told_without_what_it_may_hide(sign_in: SignIn) -> None:
    with pytest.raises(SignInRefused, match=r"didn't sign you in \(access_denied\)"):
        await sign_in.whole(error="access_denied")
    with pytest.raises(SignInRefused, match=r"didn't sign you in \(an error\)$"):
        await sign_in.whole(error="<script>alert(1)</script>")
    for code in ("", "x" * 10_000):
        with pytest.raises(SignInRefused, match="no code"):
            await sign_in.whole(code=code)


async def test_an_answer_of_another_provider_is_refused(sign_in: SignIn) -> None:
    await sign_in.whole(iss=sign_in.provider.issuer)
    with pytest.raises(SignInRefused, match="another provider"):
        await sign_in.whole(iss="https://evil.example")
    sign_in.provider.metadata["authorization_response_iss_parameter_supported"] = True
    with pytest.raises(SignInRefused, match="another provider"):
        await sign_in.whole(sign_in.changed())


async def test_the_way_back_leads_to_no_other_site(sign_in: SignIn) -> None:
    journey = await sign_in.door.begin("//evil.example/")
    arrival = await sign_in.door.finish(journey.ticket, sign_in.provider.authorize(journey.url))
    assert arrival.back == "/"


# -- the ID token ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://evil.example"},
        {"aud": "another-client"},
        {"aud": ["another-client", "third"]},
        {"aud": [CLIENT, "another-client"]},  # without `azp`
        {"aud": [CLIENT, "another-client"], "azp": "another-client"},
        {"nonce": "another"},
        {"nonce": None},
        {"exp": 1_800_000_000 - 61},
        {"exp": None},
        {"iat": 1_800_000_000 + 3600},
        {"nbf": 1_800_000_000 + 3600},
        {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 256},
    ],
    ids=str,
)
async def test_an_id_token_with_a_wrong_claim_is_refused(sign_in: SignIn, wrong: dict[str, Any]) -> None:
    sign_in.provider.wrong = wrong
    with pytest.raises(SignInRefused):
        await sign_in.whole()
    assert await sign_in.house.users.page(LOCAL) == []


async def test_a_clock_may_differ_by_a_minute(sign_in: SignIn) -> None:
    now = int(sign_in.house.clock.now)
    sign_in.provider.wrong = {"iat": now + 50, "exp": now - 50, "nbf": now + 50, "aud": [CLIENT]}
    await sign_in.whole()


def unsigned(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


@BOTH
@pytest.mark.parametrize(
    "how", ["none", "hmac with the public key", "hmac with the secret", "another key", "cut", "no token"]
)
async def test_a_forged_id_token_is_refused(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    provider = sign_in.provider
    stranger = OpenIdProvider(provider.algorithm, sign_in.house.clock)
    stranger.issuer = provider.issuer

    def forged(nonce: str, access_token: str) -> str:
        good = OpenIdProvider.id_token(provider, nonce, access_token)
        claims = jwt.decode(good, options={"verify_signature": False})
        if how == "none":
            return unsigned({"alg": "none"}, claims)
        if how == "another key":
            return OpenIdProvider.id_token(stranger, nonce, access_token)
        if how == "cut":
            return good.rpartition(".")[0] + "."
        if how == "no token":
            return "x.y"
        public = provider.keys[provider.kid].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        key = public if "public" in how else SECRET.encode()
        head = unsigned({"alg": "HS256", "kid": provider.kid}, claims).rpartition(".")[0]
        return unsigned({"alg": "HS256", "kid": provider.kid}, claims, hmac.digest(key, head.encode(), "sha256"))

    monkeypatch.setattr(provider, "id_token", forged)
    with pytest.raises(SignInRefused):
        await sign_in.whole()
    assert await sign_in.house.rows(sessions) == []


@BOTH
async def test_a_new_key_of_the_provider_is_taken_up(sign_in: SignIn) -> None:
    await sign_in.whole()
    passed = [0.0]
    provider = sign_in.door._opened
    assert provider is not None
    begun = provider._passing()
    provider._passing = lambda: begun + passed[0]
    sign_in.provider.new_key("second")
    with pytest.raises(SignInRefused, match="can't be verified"):
        await sign_in.whole()  # its keys were read just now
    passed[0] = KEYS_EVERY + 1
    await sign_in.whole()
    assert sign_in.provider.asked.count("/jwks") == 2
    sign_in.provider.sign_with_kid = False
    await sign_in.whole()


# -- the provider ------------------------------------------------------------------------------------------------------


async def test_a_client_proves_itself_as_the_provider_wants_it(sign_in: SignIn) -> None:
    sign_in.provider.auth_methods = ["client_secret_post"]
    await sign_in.whole()
    sign_in.provider.public = True
    await sign_in.whole(sign_in.changed(client_secret_file=None))


async def test_a_provider_that_refuses_stentor_is_no_fault_of_the_person(sign_in: SignIn, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("another")
    with pytest.raises(SignInUnavailable, match=r"refuses Stentor \(invalid_client\); check `\[access.oidc\]`"):
        await sign_in.whole()
    (tmp_path / "secret.txt").unlink()
    with pytest.raises(InvalidConfiguration, match=r"access.oidc.client_secret_file: .* can't be read"):
        await sign_in.whole()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (web.Response(text="<html>", status=502), "refuses Stentor"),
        (web.json_response({"access_token": "x"}), "gave no ID token"),
        (web.json_response(["x"]), "gave no ID token"),
        (web.Response(body=b" " * (LARGEST + 1)), "is larger than"),
        (web.Response(status=302, headers={"Location": "https://evil.example"}), "refuses Stentor"),
    ],
    ids=["an error page", "no token", "no object", "too large", "a redirect"],
)
async def test_an_odd_answer_is_called_that(sign_in: SignIn, said: web.Response, told: str) -> None:
    sign_in.provider.answer = said
    with pytest.raises(SignInUnavailable, match=told):
        await sign_in.whole()


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://localhost"},
        {"issuer": None},
        {"token_endpoint": "http://localhost/token"},
        {"jwks_uri": None},
        {"authorization_endpoint": "javascript:alert(1)"},
    ],
    ids=str,
)
async def test_a_provider_that_says_odd_things_of_itself_is_not_believed(
    sign_in: SignIn, metadata: dict[str, Any]
) -> None:
    sign_in.provider.metadata = metadata
    with pytest.raises(SignInUnavailable):
        await sign_in.door.begin()


async def test_a_provider_that_is_away_is_asked_once_in_a_while(sign_in: SignIn) -> None:
    door = sign_in.changed(ca_file=None)  # who isn't trusted is as good as away
    for _ in range(5):
        with pytest.raises(SignInUnavailable, match="cannot be reached"):
            await door.begin()
    assert sign_in.provider.asked == []
    passed = [0.0]
    provider = OidcProvider(sign_in.settings.oidc, sign_in.house.clock, lambda: passed[0])
    sign_in.provider.metadata = {"jwks_uri": f"{sign_in.provider.issuer}/nothing"}
    metadata = await provider.metadata()
    for _ in range(3):
        with pytest.raises(SignInUnavailable, match="with the status 404"):
            await provider._candidates(metadata, {"alg": "RS256"}, fresh=False)
    passed[0] += FAILED_FOR
    with pytest.raises(SignInUnavailable, match="with the status 404"):
        await provider._candidates(metadata, {"alg": "RS256"}, fresh=False)


async def test_codes_that_are_redeemed_at_once_are_bounded(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING", 2)
    journeys = [await sign_in.door.begin() for _ in range(4)]
    ends = await asyncio.gather(
        *(sign_in.door.finish(each.ticket, sign_in.provider.authorize(each.url)) for each in journeys),
        return_exceptions=True,
    )
    assert sorted(type(end).__name__ for end in ends) == ["SignInArrival"] * 2 + [TooManyAttempts.__name__] * 2


async def test_doctor_says_whether_the_provider_can_be_used(sign_in: SignIn, tmp_path: Path) -> None:
    async def found(settings: AccessConfig, *, offline: bool = False) -> list[tuple[str, str]]:
        return [(each.status.value, each.detail) for each in await check_access(settings, PUBLIC_URL, offline=offline)]

    settings, issuer = sign_in.settings, sign_in.provider.issuer
    secret = tmp_path / "secret.txt"
    secret.chmod(0o600)
    assert await found(AccessConfig()) == []
    assert await found(settings) == [("ok", f"{issuer} answers, and shows 4 keys")]
    assert sign_in.provider.asked == ["/.well-known/openid-configuration", "/jwks"]
    secret.chmod(0o644)
    assert await found(settings, offline=True) == [
        ("warning", f"everybody on this machine can read {secret}"),
        ("ok", f"{issuer}, not contacted"),
    ]
    assert len(sign_in.provider.asked) == 2
    secret.unlink()
    ((status, told),) = await found(settings)
    assert (status, "client_secret_file" in told) == ("problem", True)
    untrusted = settings.model_copy(
        update={"oidc": settings.oidc.model_copy(update={"ca_file": None, "client_secret_file": None})}
    )
    assert await found(untrusted) == [("problem", f"{issuer} cannot be reached: ClientConnectorCertificateError")]


# -- settings ----------------------------------------------------------------------------------------------------------


async def test_what_is_missing_is_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def door(settings: AccessConfig, public_url: str | None = PUBLIC_URL) -> OidcSignIn:
        return OidcSignIn(settings, public_url, house.clock, house.signer, house.users, house.sessions)

    assert door(AccessConfig()).issuer is None
    with pytest.raises(InvalidConfiguration, match=r"set `issuer` under \[access.oidc\]"):
        await door(AccessConfig()).begin()
    oidc = OidcConfig(issuer="https://login.example.com", client_id="stentor", roles=ROLES)
    with pytest.raises(InvalidConfiguration, match=r"needs `public_url` under \[api\]"):
        await door(AccessConfig(oidc=oidc), None).begin()
    monkeypatch.delitem(sys.modules, "stentor.access.oidc_provider")
    monkeypatch.setitem(sys.modules, "authlib.oidc.core", None)
    with pytest.raises(InvalidConfiguration, match=r"needs the package authlib, .* `pip install '\.\[oidc\]'`"):
        await door(AccessConfig(oidc=oidc)).begin()


async def test_authlib_is_loaded_by_nobody_else() -> None:
    code = "import sys, stentor.cli.main, stentor.access.oidc; sys.exit('authlib' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0


async def test_no_secret_is_logged(sign_in: SignIn, caplog: pytest.LogCaptureFixture, database: Database) -> None:
    caplog.set_level("DEBUG", "stentor")
    journey = await sign_in.door.begin()
    query = sign_in.provider.authorize(journey.url)
    await sign_in.door.finish(journey.ticket, query)
    with pytest.raises(SignInRefused):
        await sign_in.door.finish(journey.ticket, query)
    sign_in.provider.wrong = {"aud": "another"}
    with pytest.raises(SignInRefused):
        await sign_in.whole()
    for secret in (SECRET, query["code"], query["state"], journey.ticket):
        assert secret not in caplog.text
        assert secret not in repr(await sign_in.house.actions())
