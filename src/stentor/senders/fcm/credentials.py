"""How Stentor shows Google who it is: OAuth access tokens, had with a service account or Application Default Credentials.

google-auth does the protocol, in a thread, since it blocks. This module decides when: one request at a time however
many wait for it, ahead of the expiry and without anybody waiting where there is still a good token, and not again
right after a failure.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import google.auth
import google.auth.exceptions
import google.auth.transport.requests
import requests
from google.auth.credentials import Credentials
from google.oauth2 import service_account

from stentor.errors import CredentialError, CredentialUnavailable, StentorError
from stentor.senders.contract import Renewal, text

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
AHEAD = 300.0
"""Seconds before its expiry from which on a token is renewed while it is still used."""
PAUSE = 10.0
"""Seconds after a failed request within which no other is made."""
FORCED_TWICE = 300.0
"""Seconds. A token that was had because the one before was refused, and is refused this soon itself, isn't at fault."""
TIMEOUT = 20.0

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
    expires_at: float
    made_at: float
    forced: bool


class FcmTokenSource:
    """The access token of one service account, shared by all connections. `clock` gives epoch seconds.

    Belongs to one event loop at a time.
    """

    def __init__(
        self,
        credentials: Callable[[], Credentials],
        *,
        name: str,
        clock: Callable[[], float],
        project_id: str | None = None,
        ca_file: Path | None = None,
    ) -> None:
        """Usually called by `from_file`, `from_info` or `application_default`.

        Args:
            credentials: makes the google-auth credentials; called once, in a thread.
            name: what to call them in errors, e.g. the file's name.
        """
        self._make_credentials = credentials
        self._credentials: Credentials | None = None
        self._name = name
        self._clock = clock
        self._ca_file = ca_file
        self.project_id = project_id
        """The Firebase project, where the credentials know it."""
        self.quota_project: str | None = None
        """The project to name in `x-goog-user-project`, where the credentials ask for one."""
        self._token: _Token | None = None
        self._renewal: asyncio.Task[_Token] | None = None
        self._failure: tuple[float, StentorError] | None = None

    @classmethod
    def from_file(
        cls, path: Path, *, clock: Callable[[], float], token_uri: str | None = None, ca_file: Path | None = None
    ) -> Self:
        """From the service account's JSON file.

        Args:
            token_uri: another token endpoint than the file's, e.g. a simulator's.
            ca_file: the authorities to trust there, instead of the public ones.

        Raises: CredentialError: names the file and what to do, never the key.
        """
        try:
            info = json.loads(path.read_bytes())
        except OSError as error:
            raise CredentialError(f"service account {path} cannot be read: {error.strerror}") from None
        except ValueError:
            raise CredentialError(f"service account {path} is not JSON; use the file as Google gave it out") from None
        return cls.from_info(info, name=str(path), clock=clock, token_uri=token_uri, ca_file=ca_file)

    @classmethod
    def from_info(
        cls,
        info: Mapping[str, Any],
        *,
        clock: Callable[[], float],
        name: str = "given as data",
        token_uri: str | None = None,
        ca_file: Path | None = None,
    ) -> Self:
        """From the content of a service account's JSON file."""
        if not isinstance(info, Mapping) or info.get("type") != "service_account":
            raise CredentialError(f"service account {name} is another kind of file; make a key for a service account")
        uri = token_uri or info.get("token_uri")
        _check_token_uri(uri, name)
        try:
            found = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
                {**info, "token_uri": uri}, scopes=[SCOPE]
            )
        except (ValueError, TypeError, google.auth.exceptions.GoogleAuthError):
            problem = "is incomplete or its key is damaged; use the file as Google gave it out"
            raise CredentialError(f"service account {name} {problem}") from None
        project = info.get("project_id")
        return cls(lambda: found, name=f"service account {name}", clock=clock, project_id=project, ca_file=ca_file)

    @classmethod
    def application_default(cls, *, clock: Callable[[], float], ca_file: Path | None = None) -> Self:
        """From wherever Google's tools look: `GOOGLE_APPLICATION_CREDENTIALS`, gcloud, the machine's own account."""

        def find() -> Credentials:
            source._load_default()
            assert source._credentials is not None
            return source._credentials

        source = cls(find, name="Application Default Credentials", clock=clock, ca_file=ca_file)
        return source
