"""An OpenID provider, as far as signing in needs it: what it says of itself, its keys, and a code turned into claims.

Rules: only https; no redirect is followed; every answer is bounded in time and size; what the provider says of itself
is kept for KEPT seconds; its keys are read anew if one is unknown, at most once in KEYS_EVERY seconds. No secret, code
or token is in a message. authlib is loaded with this module, and nothing else loads it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlsplit

import aiohttp
import msgspec
from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]  # has no annotations
from authlib.oidc.discovery import get_well_known_url  # type: ignore[import-untyped]
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, import_key
from joserfc.jws import JWSRegistry

from stentor.clock import steady
from stentor.config import OidcConfig
from stentor.errors import InvalidConfiguration, SignInRefused, SignInUnavailable

logger = logging.getLogger(__name__)

KEPT = 3600.0
KEYS_EVERY = 60.0
FAILED_FOR = 5.0
"""Seconds for which a provider that didn't answer isn't asked again."""
WITHIN = 10.0
"""Seconds for one answer."""
LARGEST = 512 * 1024
"""Bytes of an answer."""
MOST_KEYS = 100
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519")
"""Those with a public key. `none`, and those that would take a secret for the key, are refused."""
LEEWAY = 60
"""Seconds that the provider's clock may differ from ours."""
LONGEST_HEADER = 4096
_FAMILIES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a provider says of itself."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    auth_methods: tuple[str, ...]
    """How a client may prove itself."""
    names_itself: bool
    """Whether it adds `iss` to what it sends back (RFC 9207)."""


class OidcProvider:
    """The provider of these settings. Every method may raise `SignInUnavailable`."""

    def __init__(self, settings: OidcConfig, clock: Callable[[], float], passing: Callable[[], float] = steady) -> None:
        assert settings.issuer is not None
        assert settings.client_id is not None
        self._settings = settings
        self.issuer = settings.issuer
        self.client_id = settings.client_id
        self._clock = clock
        self._passing = passing
        self._metadata: Metadata | None = None
        self._metadata_at = self._keys_at = self._failed_at = float("-inf")
        self._problem = ""
        self._keys: list[dict[str, Any]] = []
        self._turn = asyncio.Lock()
        self._registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        self._registry.max_header_length = LONGEST_HEADER

    def __repr__(self) -> str:
        return f"<OidcProvider {self.issuer}>"

    async def metadata(self) -> Metadata:
        """What it says of itself."""
        async with self._turn:
            now = self._passing()
            if self._metadata is None or now - self._metadata_at >= KEPT:
                self._metadata = self._read_metadata(await self._get(get_well_known_url(self.issuer, external=True)))
                self._metadata_at = now
            return self._metadata

    async def check(self) -> int:
        """See that it can be used, as far as that shows before anybody signs in.

        Returns: how many keys it has. Raises: InvalidConfiguration: the client's secret can't be read.
        """
        await asyncio.to_thread(self._secret)
        found = (await self._get((await self.metadata()).jwks_uri)).get("keys")
        if not isinstance(found, list) or not found:
            raise SignInUnavailable(f"{self.issuer} shows no keys to verify its ID tokens with")
        return len(found)

    async def redeem(self, code: str, *, verifier: str, redirect_uri: str, nonce: str) -> Mapping[str, Any]:
        """The claims of the ID token that a code is worth.

        Raises:
            SignInRefused: the provider doesn't take the code, or its token isn't as it should be.
            InvalidConfiguration: the client's secret can't be read.
        """
        metadata = await self.metadata()
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        answer = await self._post(metadata, form | {"code_verifier": verifier})
        id_token, access_token = answer.get("id_token"), answer.get("access_token")
        if not isinstance(id_token, str):
            raise SignInUnavailable(f"{self.issuer} gave no ID token; is `openid` among the scopes of the client?")
        header, claims = await self._verified(metadata, id_token)
        required = {"essential": True}
        options: Any = {"iss": required | {"value": self.issuer}, "aud": required | {"value": self.client_id}}
        parameters = {"client_id": self.client_id, "nonce": nonce, "access_token": access_token}
        token = CodeIDToken(claims, header, options, parameters)
        try:
            token.validate(now=int(self._clock()), leeway=LEEWAY)
        except JoseError as error:
            logger.warning("An ID token of %s was refused: %s", self.issuer, error.error)
            raise SignInRefused(f"the ID token of {self.issuer} isn't valid ({error.error}); sign in again") from None
        if not claims["sub"] or len(claims["sub"]) > 255:
            raise SignInRefused(f"the ID token of {self.issuer} names nobody")
        return claims

    # -- keys and signatures ------------------------------------------------------------------------------------------

    async def _verified(self, metadata: Metadata, id_token: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """The header and the claims of a token whose signature is good. Raises: SignInRefused."""
        header = _header(id_token)
        algorithm = header.get("alg")
        if algorithm in ALGORITHMS:
            for fresh in (False, True):
                for key in await self._candidates(metadata, header, fresh=fresh):
                    try:
                        token = jwt.decode(id_token, key, algorithms=[str(algorithm)], registry=self._registry)
                    except (JoseError, ValueError) as error:
                        logger.debug("A key of %s doesn't fit a token: %s", self.issuer, type(error).__name__)
                        continue
                    return dict(token.header), dict(token.claims)
        logger.warning("No key of %s fits a token of the algorithm %.20r", self.issuer, algorithm)
        raise SignInRefused(f"the signature of the ID token of {self.issuer} can't be verified; sign in again")

    async def _candidates(self, metadata: Metadata, header: Mapping[str, Any], *, fresh: bool) -> list[Key]:
        """The keys that may have signed a token with this header."""
        async with self._turn:
            now = self._passing()
            if now - self._keys_at >= (KEYS_EVERY if fresh else KEPT):
                found = (await self._get(metadata.jwks_uri)).get("keys")
                self._keys = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
                self._keys_at = now
            keys = self._keys[:MOST_KEYS]
        family, kid = _FAMILIES.get(str(header.get("alg"))[:2]), header.get("kid")
        fitting = [
            each
            for each in keys
            if each.get("kty") == family
            and each.get("use", "sig") == "sig"
            and each.get("alg") in (None, header.get("alg"))
            and (kid is None or each.get("kid") in (None, kid))
        ]
        found_keys: list[Key] = []
        for each in fitting:
            try:
                found_keys.append(import_key({name: value for name, value in each.items() if name != "key_ops"}))
            except (JoseError, ValueError, KeyError, TypeError) as error:
                logger.warning("A key of %s can't be read: %s", self.issuer, type(error).__name__)
        return found_keys

    # -- requests -----------------------------------------------------------------------------------------------------

    def _read_metadata(self, found: Mapping[str, Any]) -> Metadata:
        if found.get("issuer") != self.issuer:
            raise SignInUnavailable(
                f"the provider at {self.issuer} calls itself {str(found.get('issuer'))[:200]!r}; write that as"
                " `access.oidc.issuer`, to the letter"
            )
        endpoints = {name: found.get(name) for name in _ENDPOINTS}
        for name, url in endpoints.items():
            if not isinstance(url, str) or urlsplit(url).scheme != "https":
                raise SignInUnavailable(f"{self.issuer} names no https address as its {name}")
        methods = found.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        names_itself = found.get("authorization_response_iss_parameter_supported") is True
        return Metadata(**endpoints, auth_methods=tuple(map(str, methods)), names_itself=names_itself)  # type: ignore[arg-type]  # seen above

    async def _get(self, url: str) -> dict[str, Any]:
        """A document of the provider's. One that could not be had isn't asked for again for a while."""
        if self._passing() - self._failed_at < FAILED_FOR:
            raise SignInUnavailable(self._problem)
        try:
            status, answer = await self._request("GET", url)
            if status != 200:
                raise SignInUnavailable(f"{self.issuer} answers {url} with the status {status}")
        except SignInUnavailable as error:
            self._failed_at, self._problem = self._passing(), str(error)
            logger.warning("%s", error)
            raise
        return answer

    async def _post(self, metadata: Metadata, form: dict[str, str]) -> dict[str, Any]:
        secret = await asyncio.to_thread(self._secret)
        headers = {}
        if secret is None:
            form["client_id"] = self.client_id
        elif "client_secret_basic" in metadata.auth_methods or "client_secret_post" not in metadata.auth_methods:
            pair = f"{quote_plus(self.client_id)}:{quote_plus(secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": self.client_id, "client_secret": secret}
        status, answer = await self._request("POST", metadata.token_endpoint, data=form, headers=headers)
        if status == 200:
            return answer
        said = "".join(each for each in str(answer.get("error", "")) if each.isalnum() or each == "_")[:40]
        logger.warning("%s answers a code with the status %d: %s", self.issuer, status, said or "no reason")
        if said == "invalid_grant":
            raise SignInRefused(f"{self.issuer} doesn't take this code (any more); sign in again")
        raise SignInUnavailable(f"{self.issuer} refuses Stentor ({said or status}); check `[access.oidc]`")

    def _secret(self) -> str | None:
        file = self._settings.client_secret_file
        if file is None:
            return None
        try:
            return file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidConfiguration(f"access.oidc.client_secret_file: {file} can't be read: {error}") from None

    async def _request(self, method: str, url: str, **content: Any) -> tuple[int, dict[str, Any]]:
        """Status and JSON of an answer; what isn't a JSON object is an empty one."""
        limits = aiohttp.ClientTimeout(total=WITHIN)
        tls = await asyncio.to_thread(self._tls)
        headers = {"Accept": "application/json", **content.pop("headers", {})}
        try:
            async with (
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls), timeout=limits) as session,
                session.request(method, url, headers=headers, allow_redirects=False, **content) as response,
            ):
                body = bytearray()
                async for piece in response.content.iter_any():
                    body += piece
                    if len(body) > LARGEST:
                        raise SignInUnavailable(f"the answer of {self.issuer} is larger than {LARGEST:,} bytes")
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SignInUnavailable(f"{self.issuer} cannot be reached: {type(error).__name__}") from error
        try:
            answer = msgspec.json.decode(bytes(body))
        except (msgspec.DecodeError, UnicodeDecodeError):
            answer = None
        return status, answer if isinstance(answer, dict) else {}

    def _tls(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._settings.ca_file)
        except OSError as error:
            raise InvalidConfiguration(
                f"access.oidc.ca_file: {self._settings.ca_file} can't be used: {error.strerror or error}"
            ) from None


def _header(token: str) -> dict[str, Any]:
    """The header of a JWT, unverified. Raises: SignInRefused: it is none."""
    head = token.partition(".")[0]
    try:
        if len(head) > LONGEST_HEADER:
            raise ValueError
        found = msgspec.json.decode(base64.b64decode(head + "=" * (-len(head) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        found = None
    if not isinstance(found, dict):
        raise SignInRefused("the provider gave something that isn't an ID token; sign in again")
    return found
