"""Subscriptions as browsers give them, and which endpoints are asked at all.

Pure. Endpoints come from strangers' browsers, so they are not trusted: https on port 443 with a host name that can be
one, no user info, nothing that leads into our own network, and on request only hosts of a list. What a *name* leads to
is known when it is resolved only: `is_public` judges that then, and the connection goes to the address that was judged.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address

import msgspec

from stentor.providers.hosts import is_literal, is_public, is_reserved
from stentor.wrong_types import in_words

LONGEST_ENDPOINT = 2048
"""Bytes. Windows' are the longest, with some 500."""
POINT_SIZE, SECRET_SIZE = 65, 16

_ENDPOINT = re.compile(r"https://([^/?#\\\s]+)(/[!\"$-\[\]-~]*)")  # visible ASCII, without a fragment or a backslash
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*", re.ASCII)
_ADVICE = (
    'an address is the subscription as the browser gives it: {"endpoint":"https://…","keys":{"p256dh":…,"auth":…}}'
)


class MalformedEndpoint(ValueError):
    """A subscription that can be none; says why, without quoting it."""


class ReservedHost(ValueError):
    """An endpoint whose host nobody can own; says why, without quoting it."""


class ForbiddenEndpoint(ValueError):
    """An endpoint that is not asked; says why, without quoting it."""


class _Keys(msgspec.Struct):
    p256dh: str
    auth: str


class _Stored(msgspec.Struct):
    endpoint: str
    keys: _Keys


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription, read."""

    endpoint: str = field(repr=False)
    p256dh: bytes = field(repr=False)
    """The browser's public key, an uncompressed point of P-256."""
    auth: bytes = field(repr=False)
    """The secret that it shares with us."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Whom to connect to, and what a token for it is made out to."""

    host: str
    port: int

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"https://{self.authority}"


def parse_subscription(address: bytes | str) -> Subscription:
    """A subscription from the JSON that a browser's `JSON.stringify(subscription)` gives; unknown fields are ignored.

    Raises: MalformedEndpoint.
    """
    try:
        stored = _decode(address)
    except msgspec.ValidationError as error:
        place, problem = in_words(error)
        raise MalformedEndpoint(f"{f'{place}: ' if place else ''}{problem}; {_ADVICE}") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise MalformedEndpoint(f"isn't JSON; {_ADVICE}") from None
    p256dh, auth = _key(stored.keys.p256dh, "keys.p256dh"), _key(stored.keys.auth, "keys.auth")
    if len(p256dh) != POINT_SIZE or p256dh[0] != 4:
        raise MalformedEndpoint(
            f"keys.p256dh is not an uncompressed P-256 point: {len(p256dh)} bytes, {POINT_SIZE} wanted"
        )
    if len(auth) != SECRET_SIZE:
        raise MalformedEndpoint(f"keys.auth has {len(auth)} bytes, {SECRET_SIZE} wanted")
    return Subscription(stored.endpoint, p256dh, auth)


_decode: Callable[[bytes | str], _Stored] = msgspec.json.Decoder(_Stored).decode


def _key(value: str, name: str) -> bytes:
    """Either alphabet of base64, with or without padding: libraries differ."""
    text = value.rstrip("=").replace("+", "-").replace("/", "_")
    try:
        if len(text) < 200 and text.isascii():
            return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (NotBase64, ValueError):
        pass
    raise MalformedEndpoint(f"{name} isn't base64url")


def parse_endpoint(endpoint: str) -> tuple[Origin, bytes]:
    """Where an endpoint is, and its path.

    Raises: MalformedEndpoint: it is no https address, or has what none of a push service has.
    """
    if len(endpoint) > LONGEST_ENDPOINT:
        raise MalformedEndpoint(f"the endpoint is longer than {LONGEST_ENDPOINT} characters")
    found = _ENDPOINT.fullmatch(endpoint)
    if found is None:
        raise MalformedEndpoint("the endpoint isn't https://host/path in plain ASCII")
    return parse_authority(found[1]), found[2].encode()


def parse_authority(authority: str) -> Origin:
    """Raises: MalformedEndpoint."""
    if "@" in authority:
        raise MalformedEndpoint("the endpoint holds user info")
    if authority.startswith("["):
        literal, bracket, rest = authority[1:].partition("]")
        try:
            host = str(IPv6Address(literal))
        except ValueError:
            raise MalformedEndpoint("the endpoint's host is not an IPv6 address") from None
        colon, number = rest[:1], rest[1:]
        if not bracket or (rest and colon != ":"):
            raise MalformedEndpoint("the endpoint's host is not an IPv6 address")
    else:
        host, colon, number = authority.partition(":")
        host = host.lower().removesuffix(".")
        if len(host) > 253 or not _HOST.fullmatch(host):
            raise MalformedEndpoint("the endpoint's host is not a host name")
    if not colon:
        return Origin(host, 443)
    if not (number.isascii() and number.isdecimal() and len(number) <= 5 and 0 < int(number) < 65_536):
        raise MalformedEndpoint("the endpoint's port is not a number from 1 to 65535")
    return Origin(host, int(number))


@dataclass(frozen=True, slots=True)
class Policy:
    """Which origins an app's messages may go to."""

    allow_private: bool = False
    """Any port and any address, ours included: for simulators."""
    hosts: tuple[str, ...] = ()
    """Where not empty, only these; see `fits`."""

    def check(self, origin: Origin) -> None:
        """Raises: ForbiddenEndpoint, ReservedHost."""
        is_listed = fits(origin.host, self.hosts)
        if not self.allow_private and not is_listed and is_reserved(origin.host):
            raise ReservedHost("the endpoint's host is a reserved name, which nobody can own")
        if self.hosts and not is_listed:
            raise ForbiddenEndpoint("the endpoint's host is not among `allowed_hosts`")
        if self.allow_private:
            return
        if origin.port != 443:
            raise ForbiddenEndpoint("the endpoint's port is not 443")
        if is_literal(origin.host) and not is_public(origin.host):
            raise ForbiddenEndpoint("the endpoint's address is private, loopback or reserved")


def fits(host: str, patterns: Sequence[str]) -> bool:
    """Whether a host is one of those, of which `*.example.com` stands for every host below example.com."""
    return any(
        host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
        for pattern in map(str.lower, patterns)
    )
