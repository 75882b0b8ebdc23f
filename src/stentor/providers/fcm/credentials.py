"""How Stentor shows Google who it is: access tokens, had with a service account, a workload identity federation or
Application Default Credentials.

google-auth does the protocol, in a thread, since it blocks. This module decides when: one request at a time however
many wait for it, ahead of the expiry and without anybody waiting where there is still a good token, and not again
right after a failure. google-auth's own functions have no types, hence the ignores.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import google.auth
import requests
from google.auth import aws, identity_pool, pluggable
from google.auth.credentials import Credentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError, TransportError
from google.auth.transport.requests import Request
from google.oauth2 import service_account
from requests.adapters import HTTPAdapter

from stentor.errors import CredentialError, CredentialUnavailable
from stentor.providers.contract import Renewal, text

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
AHEAD = 300.0
"""Seconds before its expiry from which on a token is renewed while it is still used."""
PAUSE = 10.0
"""Seconds after a failed request within which no other is made."""
FORCED_TWICE = 300.0
"""Seconds. A token that was had because the one before was refused, and is refused this soon itself, isn't at fault."""
TIMEOUT = 20.0
FEDERATED = "external_account"
"""The `type` of a workload identity federation's file."""
_AWS_TOKEN = "urn:ietf:params:aws:token-type:aws4_request"  # a kind of token, and none

PERMANENT = frozenset(
    {
        *("invalid_grant", "invalid_client", "disabled_client", "deleted_client", "unauthorized_client"),
        *("invalid_scope", "invalid_request", "access_denied", "unsupported_grant_type", "account_disabled"),
    }
)
"""The token endpoint's errors that no repetition mends."""


@dataclass(frozen=True, slots=True)
class _Token:
    value: bytes = field(repr=False)
    made_at: float
    expires_at: float
    forced: bool
    """It was had because the one before was refused."""

    @property
    def renew_at(self) -> float:
        """Ahead of the expiry, but a token that lives for a minute isn't renewed all the time."""
        return self.expires_at - min(AHEAD, (self.expires_at - self.made_at) / 5)


@dataclass(slots=True)
class _Account:
    """The google-auth credentials, found when they are first needed: looking for default ones may take seconds."""

    name: str
    find: Callable[[Request], tuple[Credentials, str | None]]
    """The credentials and the project they know."""


class FcmTokenSource:
    """The access token of one account, shared by all connections of one event loop. `clock` gives epoch seconds."""

    def __init__(
        self, account: _Account, *, clock: Callable[[], float], ca_file: Path | None = None, proxy: str | None = None
    ) -> None:
        """Made by `from_file`, `from_info` or `application_default`."""
        if ca_file is not None and not ca_file.is_file():
            raise CredentialError(f"{account.name}: there is no CA file {ca_file}")
        self._account = account
        self._clock = clock
        self._transport = _Transport(ca_file, proxy)
        self._credentials: Credentials | None = None
        self._token: _Token | None = None
        self._renewal: asyncio.Task[_Token] | None = None
        self._failure: CredentialError | CredentialUnavailable | None = None
        self._failed_at = 0.0
        self.project_id: str | None = None
        """The Firebase project, where the credentials know it. Default credentials do after the first token."""
        self.quota_project: str | None = None
        """The project to name in `x-goog-user-project`, where the credentials are a person's."""

    @classmethod
    def from_file(
        cls,
        path: Path,
        *,
        clock: Callable[[], float],
        token_uri: str | None = None,
        ca_file: Path | None = None,
        proxy: str | None = None,
    ) -> Self:
        """From the JSON file of a service account, or of a workload identity federation.

        Args:
            token_uri: another token endpoint than the file's, e.g. a simulator's.
            ca_file: the authorities to trust there, instead of the public ones and the system's.
            proxy: by which the endpoint is reached: `http://user:password@host:port`.

        Raises: CredentialError: names the file and what to do, never the key.
        """
        try:
            info = json.loads(path.read_bytes())
        except OSError as error:
            raise CredentialError(f"service account {path} cannot be read: {error.strerror}") from None
        except ValueError:
            raise CredentialError(f"service account {path} is not JSON; use the file as Google gave it out") from None
        return cls.from_info(info, name=str(path), clock=clock, token_uri=token_uri, ca_file=ca_file, proxy=proxy)

    @classmethod
    def from_info(
        cls,
        info: object,
        *,
        clock: Callable[[], float],
        name: str = "(no file)",
        token_uri: str | None = None,
        ca_file: Path | None = None,
        proxy: str | None = None,
    ) -> Self:
        """From the content of such a file."""
        if isinstance(info, dict) and info.get("type") == FEDERATED:
            account = _Account(f"workload identity {name}", _federated(info, f"workload identity {name}", token_uri))
            return cls(account, clock=clock, ca_file=ca_file, proxy=proxy)
        name = f"service account {name}"
        if not isinstance(info, dict) or info.get("type") != "service_account":
            raise CredentialError(
                f"{name} is of another kind; make a key for a service account in Google's console, or a configuration"
                " of a workload identity federation"
            )
        uri = token_uri or str(info.get("token_uri"))
        if not _is_safe(uri):
            raise CredentialError(f"{name}: the token endpoint {uri} must be https, or http on this machine")
        if not all(isinstance(info.get(name), str) for name in ("client_email", "private_key")):
            raise CredentialError(f"{name} is incomplete; use the file as Google gave it out")
        try:
            make = service_account.Credentials.from_service_account_info
            key = info["private_key"].replace("\\n", "\n")  # escaped twice, as environment variables often have it
            found = make({**info, "token_uri": uri, "private_key": key}, scopes=[SCOPE])  # type: ignore[no-untyped-call]
        except (ValueError, TypeError, GoogleAuthError):
            problem = "has a damaged key; use the file as Google gave it out"
            raise CredentialError(f"{name} {problem}") from None
        project = None if info.get("project_id") is None else str(info["project_id"])
        source = cls(_Account(name, lambda _: (found, project)), clock=clock, ca_file=ca_file, proxy=proxy)
        source.project_id = project
        return source

    @classmethod
    def application_default(
        cls, *, clock: Callable[[], float], ca_file: Path | None = None, proxy: str | None = None
    ) -> Self:
        """From wherever Google's tools look: `GOOGLE_APPLICATION_CREDENTIALS`, gcloud, the machine's own account."""
        account = _Account(
            "Application Default Credentials", lambda request: google.auth.default(scopes=[SCOPE], request=request)
        )
        return cls(account, clock=clock, ca_file=ca_file, proxy=proxy)

    def __repr__(self) -> str:
        state = "no token yet" if self._token is None else f"token until {self._token.expires_at:.0f}"
        return f"<FcmTokenSource {self._account.name}, {state}>"

    async def authorization(self) -> bytes:
        now = self._clock()
        token = self._token
        if token is None or now >= token.expires_at:
            return (await self._renew(forced=False)).value
        if now >= token.renew_at:
            if self._renewal is None and not self._just_failed(now):
                self._ask(forced=False)  # nobody waits: the token is still good
            if isinstance(self._failure, CredentialError):
                raise _again(self._failure)
        return token.value

    async def refused(self, authorization: bytes) -> Renewal:
        token = self._token
        if token is None or authorization != token.value:
            return Renewal(True)
        if token.forced and self._clock() - token.made_at < FORCED_TWICE:
            return Renewal(
                False,
                explanation="FCM refuses a brand-new access token as well: check the account's rights, the project and"
                " this machine's clock.",
            )
        self._token = None  # so that nobody goes on with it
        new = await self._renew(forced=True)
        if new.value == authorization:
            return Renewal(False, explanation="Google gave out the same access token again, which FCM refuses.")
        return Renewal(True)

    def hold(self) -> None:
        """FCM doesn't mind how often a token changes."""

    def close(self) -> None:
        """Close the connection to the token server."""
        self._transport.session.close()

    async def _renew(self, *, forced: bool) -> _Token:
        """A new token, from the request under way or one made now. A caller that gives up doesn't end it for others."""
        if self._renewal is None:
            if self._failure is not None and self._just_failed(self._clock()):
                raise _again(self._failure)
            self._ask(forced=forced)
        assert self._renewal is not None
        return await asyncio.shield(self._renewal)

    def _just_failed(self, now: float) -> bool:
        return self._failure is not None and 0 <= now - self._failed_at < PAUSE

    def _ask(self, *, forced: bool) -> None:
        self._renewal = asyncio.create_task(self._run(forced), name="fcm-access-token")
        self._renewal.add_done_callback(lambda task: task.cancelled() or task.exception())  # seen, if nobody waits

    async def _run(self, forced: bool) -> _Token:
        try:
            token = await asyncio.to_thread(self._fetch, forced)
        except (CredentialError, CredentialUnavailable) as error:
            self._failure, self._failed_at = error, self._clock()
            raise
        else:
            self._token, self._failure = token, None
            return token
        finally:
            self._renewal = None

    def _fetch(self, forced: bool) -> _Token:
        """Ask for a token; blocks, so it runs in a thread."""
        now = self._clock()
        try:
            if self._credentials is None:
                self._credentials, project = self._account.find(self._transport)
                self.project_id = self.project_id or project
                self.quota_project = getattr(self._credentials, "quota_project_id", None)
            self._credentials.refresh(self._transport)  # type: ignore[no-untyped-call]
        except (GoogleAuthError, ValueError, TypeError, AttributeError, KeyError, OSError) as error:
            raise _translate(error, self._account.name) from None
        value, expiry = self._credentials.token, self._credentials.expiry
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise CredentialUnavailable(f"{self._account.name}: the token server gave no access token")
        lifetime = 3600.0 if expiry is None else (expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
        return _Token(f"Bearer {value}".encode(), made_at=now, expires_at=now + lifetime, forced=forced)


def _federated(
    info: Mapping[str, Any], name: str, token_url: str | None
) -> Callable[[Request], tuple[Credentials, None]]:
    """What finds the credentials of a workload identity federation. They know of no Firebase project.

    Raises: CredentialError.
    """
    url = token_url or str(info.get("token_url"))
    impersonation = info.get("service_account_impersonation_url")
    for each in (url, *([] if impersonation is None else [str(impersonation)])):
        if not _is_safe(each):
            raise CredentialError(f"{name}: the token endpoint {each} must be https, or http on this machine")
    source = info.get("credential_source")
    if not all(isinstance(info.get(key), str) for key in ("audience", "subject_token_type")):
        raise CredentialError(f"{name} is incomplete; use the file as Google gave it out")
    kind: Any = identity_pool
    if info.get("subject_token_type") == _AWS_TOKEN:
        kind = aws
    elif isinstance(source, dict) and "executable" in source:
        kind = pluggable
    try:
        found = kind.Credentials.from_info({**info, "token_url": url}, scopes=[SCOPE])
    except (ValueError, TypeError, AttributeError, GoogleAuthError):
        raise CredentialError(f"{name} is incomplete; use the file as Google gave it out") from None
    return lambda _: (found, None)


class _SystemTrust(HTTPAdapter):
    """Trusts the authorities of the system beside those that requests brings along: a company's proxy has its own."""

    def __init__(self) -> None:
        self._context = ssl.create_default_context()
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=self._context, **options)


class _Transport(Request):
    """google-auth's own transport, with our deadline, authorities and proxy, and without retries behind our back.

    The authorities go with each request, since a session's would yield to `REQUESTS_CA_BUNDLE`. No connection is kept:
    the next token is asked for in an hour, when a NAT on the way has forgotten it. Plain http goes by no proxy: it is
    a machine's own metadata server.
    """

    def __init__(self, ca_file: Path | None, proxy: str | None) -> None:
        session = requests.Session()
        super().__init__(session)
        self._options: dict[str, Any] = {}
        if ca_file is None:
            session.mount("https://", _SystemTrust())
        else:
            self._options["verify"] = str(ca_file)
        if proxy is not None:
            self._options["proxies"] = {"https": proxy}

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Any:
        seconds = min(timeout or TIMEOUT, TIMEOUT)
        once = {**(headers or {}), "connection": "close"}
        response = super().__call__(url, method, body, once, seconds, **self._options, **kwargs)  # type: ignore[no-untyped-call]
        if response.status >= 500 or response.status in (408, 429):
            raise TransportError(f"the token server answered {response.status}")  # type: ignore[no-untyped-call]
        return response


def _translate(error: Exception, name: str) -> CredentialError | CredentialUnavailable:
    """Ours for theirs: will it pass by itself, or has somebody to act?"""
    if isinstance(error, DefaultCredentialsError):
        return CredentialError(
            f"{name}: none found; set GOOGLE_APPLICATION_CREDENTIALS or give a service account's file"
        )
    if isinstance(error, RefreshError) and not error.retryable:
        answer = error.args[1] if len(error.args) > 1 and isinstance(error.args[1], dict) else {}
        code = answer.get("error")
        if isinstance(code, str) and code in PERMANENT:
            said = text(answer.get("error_description"))
            return CredentialError(
                f"{name} was refused: {code} ({said}). Check this machine's clock; if it is right, the key was revoked"
                " or the account disabled: make a new key."
            )
    if isinstance(error, GoogleAuthError):
        return CredentialUnavailable(f"{name}: no access token just now: {text(str(error))}")
    return CredentialUnavailable(f"{name}: the token server's answer makes no sense ({type(error).__name__})")


def _again(error: CredentialError | CredentialUnavailable) -> CredentialError | CredentialUnavailable:
    """The same error, to be raised once more without the first one's traceback."""
    return type(error)(str(error))


def _is_safe(uri: str) -> bool:
    parts = urlsplit(uri)
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost"))
    )
