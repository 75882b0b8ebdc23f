"""Signing in at an OpenID provider: authorization code with PKCE, state and nonce, and a role by a claim.

Rules: what must be known when the browser comes back is in a sealed ticket that the browser keeps as a cookie. So any
process can go on, and a code from a sign-in that another browser began is worth nothing. The ticket holds no secret:
verifier and nonce are computed from its state. A person without a role is refused, and loses all sessions.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec

from stentor.access.scopes import Scope
from stentor.access.sessions import OpenedSession, Sessions
from stentor.access.signing import Signer, derive, seal, unseal
from stentor.access.users import Identity, Users
from stentor.config import AccessConfig
from stentor.errors import InvalidConfiguration, SignInRefused, TooManyAttempts

if TYPE_CHECKING:
    from stentor.access.oidc_provider import OidcProvider

PURPOSE = "oidc"
CALLBACK = "/sign-in/callback"
"""Where the provider sends the browser back to, below `api.public_url`."""
TICKET_LASTS = 600.0
"""Seconds from the way to the provider to the way back."""
AT_ONCE, WAITING, RETRY_AFTER = 4, 32, 2.0
"""Codes that are redeemed at the same time, who wait for that at most, and seconds that any more are told to wait."""
LONGEST_BACK, LONGEST_CODE, MOST_VALUES = 500, 4096, 1000
_ERROR = re.compile(r"[A-Za-z_]{1,40}")


@dataclass(frozen=True, slots=True)
class SignInJourney:
    """The way to the provider."""

    url: str = field(repr=False)
    """Where the browser goes."""
    ticket: str = field(repr=False)
    """For a cookie that is sent back from another site: HttpOnly, Secure, SameSite=Lax, for TICKET_LASTS seconds."""


@dataclass(frozen=True, slots=True)
class SignInArrival:
    """The end of it."""

    opened: OpenedSession
    back: str
    """The page that was asked for, on this site."""


class _Ticket(msgspec.Struct, frozen=True, array_like=True):
    state: str
    back: str


class OidcSignIn:
    """Signs in at the provider of the settings."""

    def __init__(
        self,
        settings: AccessConfig,
        public_url: str | None,
        clock: Callable[[], float],
        signer: Signer,
        users: Users,
        sessions: Sessions,
    ) -> None:
        """Args:
        public_url: where people reach the dashboard; None: that isn't set.
        clock: epoch seconds.
        """
        self._settings = settings
        self._public_url = public_url
        self._clock = clock
        self._signer = signer
        self._users = users
        self._sessions = sessions
        self._opened: OidcProvider | None = None
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._inside = 0

    @property
    def issuer(self) -> str | None:
        """The provider's address; None: none is configured."""
        return self._settings.oidc.issuer

    async def begin(self, back: str = "/") -> SignInJourney:
        """Send somebody to the provider.

        Args:
            back: the page of this site that was asked for; another site's is not gone to.

        Raises:
            SignInUnavailable: the provider doesn't answer.
            InvalidConfiguration: no provider is configured, `api.public_url` is missing, or authlib isn't installed.
            StoreUnavailable.
        """
        provider, redirect_uri = self._provider(), self._redirect_uri()
        metadata = await provider.metadata()
        key = await self._signer.key(PURPOSE)
        state = secrets.token_urlsafe(24)
        content = msgspec.json.encode(_Ticket(state, back if is_local(back) else "/"))
        challenge = hashlib.sha256(_verifier(key, state).encode()).digest()
        query = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self._settings.oidc.scopes),
            "state": state,
            "nonce": _nonce(key, state),
            "code_challenge": _base64url(challenge),
            "code_challenge_method": "S256",
        }
        url = _with_query(metadata.authorization_endpoint, query)
        return SignInJourney(url, seal(key, content, self._clock() + TICKET_LASTS))

    async def finish(self, ticket: str, query: Mapping[str, str], *, previous: str | None = None) -> SignInArrival:
        """Begin a session for the person who comes back from the provider.

        Args:
            ticket: the cookie.
            query: what the browser brings in the URL.
            previous: as for `Sessions.sign_in`.

        Raises:
            SignInRefused: the ticket, the code or the ID token isn't good, or there is no role for this person.
            SignInUnavailable, TooManyAttempts, InvalidConfiguration, StoreUnavailable.
        """
        provider, redirect_uri = self._provider(), self._redirect_uri()
        key = await self._signer.key(PURPOSE)
        content = unseal(key, ticket, self._clock())
        if content is None:
            raise SignInRefused("this sign-in took too long, or was begun in another browser; begin again")
        begun = msgspec.json.decode(content, type=_Ticket)
        if not hmac.compare_digest(begun.state.encode(), query.get("state", "").encode("utf-8", "surrogatepass")):
            raise SignInRefused("this answer doesn't belong to the sign-in that was begun here; begin again")
        named = query.get("iss")
        if (named is not None or (await provider.metadata()).names_itself) and named != provider.issuer:
            raise SignInRefused("this answer comes from another provider; begin again")
        if (error := query.get("error")) is not None:
            said = error if _ERROR.fullmatch(error) else "an error"
            raise SignInRefused(f"{provider.issuer} didn't sign you in ({said})")
        code = query.get("code", "")
        if not 0 < len(code) <= LONGEST_CODE:
            raise SignInRefused("this answer has no code; begin again")
        async with self._place():
            claims = await provider.redeem(
                code,
                verifier=_verifier(key, begun.state),
                redirect_uri=redirect_uri,
                nonce=_nonce(key, begun.state),
            )
        user = await self._users.from_provider(self._identity(provider.issuer, claims))
        opened = await self._sessions.begin(user, previous=previous, detail=f"by {provider.issuer}")
        return SignInArrival(opened, begun.back)

    def _identity(self, issuer: str, claims: Mapping[str, Any]) -> Identity:
        settings = self._settings.oidc
        name = claims.get(settings.name_claim)
        return Identity(
            issuer=issuer,
            subject=claims["sub"],
            name=name if isinstance(name, str) and name.strip() else claims["sub"],
            role=role_of(claims, settings.role_claim, settings.roles),
        )

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self._inside >= WAITING:
            raise TooManyAttempts(RETRY_AFTER)
        self._inside += 1
        try:
            async with self._turn:
                yield
        finally:
            self._inside -= 1

    def _provider(self) -> OidcProvider:
        if self._opened is None:
            self._opened = open_provider(self._settings, self._public_url, self._clock)
        return self._opened

    def _redirect_uri(self) -> str:
        assert self._public_url is not None, "open_provider has seen that it is there"
        return self._public_url + CALLBACK


def open_provider(settings: AccessConfig, public_url: str | None, clock: Callable[[], float]) -> OidcProvider:
    """The provider of the settings. Nothing is asked yet.

    Raises: InvalidConfiguration: a setting is missing, or authlib is.
    """
    if settings.oidc.issuer is None:
        raise InvalidConfiguration("no OpenID provider is configured; set `issuer` under [access.oidc]")
    if public_url is None:
        raise InvalidConfiguration("[access.oidc] needs `public_url` under [api]: the provider sends people back there")
    try:
        from stentor.access.oidc_provider import OidcProvider  # noqa: PLC0415 - authlib is an extra
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("authlib", "joserfc"):
            raise
        raise InvalidConfiguration(
            "[access.oidc] needs the package authlib, which isn't installed: install Stentor with its extra `oidc`, as"
            " in `pip install '.[oidc]'`"
        ) from None
    return OidcProvider(settings.oidc, clock)


def role_of(claims: Mapping[str, Any], claim: str, roles: Mapping[str, str]) -> Scope | None:
    """The highest role that a claim gives; None: none.

    Args:
        claim: its name; if there is none of this name, the dots in it lead into objects.
        roles: by the claim's values.
    """
    found: Any = claims.get(claim)
    if found is None:
        found = claims
        for part in claim.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    values = found if isinstance(found, list) else [found]
    given = [Scope(roles[value]) for value in values[:MOST_VALUES] if isinstance(value, str) and value in roles]
    return max(given, key=list(Scope).index, default=None)


def is_local(back: str) -> bool:
    """Whether a path is one of this site: browsers take `//host` and `/\\host` for another."""
    return (
        len(back) <= LONGEST_BACK
        and back.isprintable()
        and re.match(r"/(?![/\\])", back) is not None
        and "\\" not in back
    )


def _verifier(key: bytes, state: str) -> str:
    return _base64url(derive(key, f"verifier/{state}"))


def _nonce(key: bytes, state: str) -> str:
    return _base64url(derive(key, f"nonce/{state}"))


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _with_query(url: str, query: Mapping[str, str]) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=urlencode([*parse_qsl(parts.query), *query.items()]), fragment=""))
