"""A small OpenID provider: discovery, keys, authorization codes with PKCE, and ID tokens; with faults on request."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlsplit

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from stentor.simulators.tls import make_server_tls

CLIENT, SECRET = "stentor", "s3cret:with/odd&characters"
REDIRECT = "https://stentor.example.com/sign-in/callback"


class OpenIdProvider:
    """Signs in whoever `claims` says, without asking."""

    def __init__(self, algorithm: str, clock: Any) -> None:
        self.algorithm = algorithm
        self.issuer = ""
        self.ca_file = Path()
        self.claims: dict[str, Any] = {
            "sub": "248289761001",
            "preferred_username": "grace",
            "groups": ["push-editors"],
        }
        self.wrong: dict[str, Any] = {}
        """Claims of the ID token that are overwritten; None: left out."""
        self.metadata: dict[str, Any] = {}
        """What it says of itself besides, or instead."""
        self.auth_methods = ["client_secret_basic"]
        self.public = False
        """Whether the client has no secret."""
        self.answer: web.Response | None = None
        """Said at the token endpoint instead of a token."""
        self.asked: list[str] = []
        """The paths that were asked for."""
        self.sign_with_kid = True
        self._clock = clock
        self._codes: dict[str, dict[str, str]] = {}
        self.keys: dict[str, Any] = {}
        self.new_key("first")

    def new_key(self, kid: str) -> None:
        """Sign with a new key from now on, and show it."""
        self.kid = kid
        if self.algorithm == "ES256":
            self.keys[kid] = ec.generate_private_key(ec.SECP256R1())
        else:
            self.keys[kid] = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def authorize(self, url: str) -> dict[str, str]:
        """Do what a browser and a person do there. Returns: the query with which the browser comes back."""
        parts = urlsplit(url)
        asked = {name: values[0] for name, values in parse_qs(parts.query, strict_parsing=True).items()}
        assert url.startswith(f"{self.issuer}/authorize?")
        assert (asked["response_type"], asked["client_id"], asked["redirect_uri"]) == ("code", CLIENT, REDIRECT)
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        return {"code": code, "state": asked["state"]}

    def id_token(self, nonce: str, access_token: str) -> str:
        now = int(self._clock())
        digest = hashlib.sha256(access_token.encode()).digest()[:16]
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "at_hash": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            **self.claims,
            **self.wrong,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        headers = {"kid": self.kid} if self.sign_with_kid else {}
        return jwt.encode(claims, self.keys[self.kid], self.algorithm, headers=headers)

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/.well-known/openid-configuration", self._discovery)
        application.router.add_get("/jwks", self._jwks)
        application.router.add_post("/token", self._token)
        return application

    async def _discovery(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        told = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?ui=plain",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "token_endpoint_auth_methods_supported": self.auth_methods,
        }
        return web.json_response(told | self.metadata)

    async def _jwks(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        algorithm = ECAlgorithm if self.algorithm == "ES256" else RSAAlgorithm
        shown = [
            algorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid, "use": "sig"}
            for kid, key in self.keys.items()
        ]
        odd = [{"kty": "EC", "crv": "P-256", "kid": self.kid, "x": "!"}, {"kty": "new"}, 7]
        return web.json_response({"keys": [*odd, *shown]})

    async def _token(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        form = await request.post()
        if self.answer is not None:
            return self.answer
        if not self._knows(request.headers.get("Authorization", ""), form):
            return web.json_response({"error": "invalid_client"}, status=401)
        asked = self._codes.pop(str(form.get("code")), None)  # a code is good once
        challenge = base64.urlsafe_b64encode(hashlib.sha256(str(form.get("code_verifier")).encode()).digest())
        if (
            asked is None
            or form.get("grant_type") != "authorization_code"
            or form.get("redirect_uri") != asked["redirect_uri"]
            or challenge.decode().rstrip("=") != asked["code_challenge"]
        ):
            return web.json_response({"error": "invalid_grant"}, status=400)
        access_token = secrets.token_urlsafe(16)
        id_token = self.id_token(asked["nonce"], access_token)
        return web.json_response({"access_token": access_token, "token_type": "Bearer", "id_token": id_token})

    def _knows(self, authorization: str, form: Any) -> bool:
        if self.public:
            return not authorization and form.get("client_id") == CLIENT and "client_secret" not in form
        if "client_secret_basic" in self.auth_methods:
            name, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
            return (unquote_plus(name), unquote_plus(secret)) == (CLIENT, SECRET)
        return (form.get("client_id"), form.get("client_secret")) == (CLIENT, SECRET)


@asynccontextmanager
async def run_provider(folder: Path, algorithm: str, clock: Any = time.time) -> AsyncIterator[OpenIdProvider]:
    """A provider on a free port of this machine, with TLS by an authority of its own."""
    provider = OpenIdProvider(algorithm, clock)
    tls = make_server_tls(folder, provider="openid", alpn=("http/1.1",))
    runner = web.AppRunner(provider.application())
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.context)
        await site.start()
        provider.issuer = f"https://localhost:{runner.addresses[0][1]}"
        provider.ca_file = tls.ca_file
        yield provider
    finally:
        await runner.cleanup()
