"""Where the API is and what a program proves itself with: arguments, or else the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from stentor.errors import InvalidConfiguration

URL, KEY = "STENTOR_URL", "STENTOR_KEY"
"""Variables of the environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAddress:
    """See this module."""

    url: str
    """Without `/v1` and without a slash at its end."""
    key: str = field(repr=False)


def address(base_url: str | None, key: str | None, environment: Mapping[str, str] = os.environ) -> ApiAddress:
    """Raises: InvalidConfiguration: one of them is missing, or cannot be one. Its message doesn't show them."""
    url = (base_url or environment.get(URL, "")).strip()
    if not url:
        raise InvalidConfiguration(f"the client needs the API's address: pass `base_url`, or set {URL}")
    if not _usable(url):
        raise InvalidConfiguration("the API's address must be like https://push.example.com, with nothing secret in it")
    key = (key or environment.get(KEY, "")).strip()
    if not key:
        raise InvalidConfiguration(f"the client needs an API key: pass `key`, or set {KEY}")
    if not re.fullmatch(r"[!-~]+", key):
        raise InvalidConfiguration("the API key has characters that no key has; was more than the key copied?")
    return ApiAddress(url=url.rstrip("/").removesuffix("/v1").rstrip("/"), key=key)


def _usable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        found = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return found and not (parts.query or parts.fragment or parts.username or parts.password)
