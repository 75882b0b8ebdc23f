"""Google's token endpoint: a signed assertion in, an access token out, with error answers of its own shape."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from stentor.errors import InvalidConfiguration
from stentor.simulators.fcm.errors import JSON_HEADER, STATUS_HEADERS
from stentor.simulators.tls import write_private
from stentor.simulators.world import Judgement, World

GOOGLE_TOKEN_URI = "https://oauth2.googleapis.com/token"
_GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SCOPES = frozenset(
    (
        "https://www.googleapis.com/auth/firebase.messaging",
        "https://www.googleapis.com/auth/cloud-platform",
    )
)
_AHEAD_S = 300
_LONGEST_S = 3_600
_TIMEFRAME = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """The account that the simulator knows, and the file that a sender is given."""

    path: Path
    email: str
    project: str
    public: rsa.RSAPublicKey

    def write_token_uri(self, token_uri: str) -> None:
        """Let the file name this token endpoint."""
        content = json.loads(self.path.read_bytes())
        content["token_uri"] = token_uri
        write_private(self.path, json.dumps(content, indent=2).encode())


def mint_account(path: Path, *, project: str) -> ServiceAccount:
    """Make a key and write a service-account file, of Google's form."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    email = f"stentor-simulator@{project}.iam.gserviceaccount.com"
    content = {
        "type": "service_account",
        "project_id": project,
        "private_key_id": secrets.token_hex(20),
        "private_key": pem.decode(),
        "client_email": email,
        "client_id": "100000000000000000001",
        "token_uri": GOOGLE_TOKEN_URI,
    }
    write_private(path, json.dumps(content, indent=2).encode())
    return ServiceAccount(path, email, project, private.public_key())


def known_account(path: Path) -> ServiceAccount:
    """The account of a given service-account file."""
    try:
        content = json.loads(path.read_bytes())
        private = serialization.load_pem_private_key(content["private_key"].encode(), None)
        email, project = content["client_email"], content["project_id"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidConfiguration(f"{path}: not a readable service-account file ({type(error).__name__})") from None
    if not isinstance(private, rsa.RSAPrivateKey):
        raise InvalidConfiguration(f"{path}: its key is not an RSA key")
    return ServiceAccount(path, email, project, private.public_key())


class TokenEndpoint:
    def __init__(self, world: World, account: ServiceAccount, lifetime_s: int) -> None:
        self._world = world
        self._account = account
        self._lifetime_s = lifetime_s
        self.audiences = {GOOGLE_TOKEN_URI}
        self._issued: dict[str, tuple[float, float]] = {}  # access token: (issued at, expires at)
        self.grants = 0

    def grant(self, body: bytes) -> Judgement:
        """Answer a token request."""
        form = {key: values[0] for key, values in parse_qs(body.decode(errors="replace")).items()}
        if form.get("grant_type") != _GRANT_TYPE:
            return _no("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}")
        problem = self._problem_of(form.get("assertion", ""))
        if problem:
            return _no(*problem)
        self.grants += 1
        now = self._world.clock()
        self._issued = {token: times for token, times in self._issued.items() if times[1] > now}
        access_token = "ya29.simulator-" + secrets.token_urlsafe(32)
        self._issued[access_token] = (now, now + self._lifetime_s)
        answer = {"access_token": access_token, "expires_in": self._lifetime_s, "token_type": "Bearer"}
        return Judgement([STATUS_HEADERS[200], JSON_HEADER], json.dumps(answer).encode(), "")

    def _problem_of(self, assertion: str) -> tuple[str, str] | None:
        options = {"verify_iat": False, "verify_exp": False, "verify_nbf": False, "verify_aud": False}
        try:
            claims = jwt.decode(assertion, self._account.public, algorithms=["RS256"], options=options)  # type: ignore[arg-type]
        except jwt.InvalidSignatureError:
            return "invalid_grant", "Invalid JWT Signature."
        except (jwt.InvalidTokenError, ValueError):
            return "invalid_grant", "Invalid JWT: Failed to decode."
        if claims.get("iss") != self._account.email:
            return "invalid_grant", "Invalid grant: account not found"
        if claims.get("aud") not in self.audiences:
            return "invalid_grant", "Invalid JWT: Failed audience check."
        if not _SCOPES & set(str(claims.get("scope", "")).split()):
            return "invalid_scope", "Invalid OAuth scope or ID token audience provided."
        return self._problem_of_times(claims)

    def _problem_of_times(self, claims: dict[str, Any]) -> tuple[str, str] | None:
        issued, expires = claims.get("iat"), claims.get("exp")
        if not isinstance(issued, (int, float)) or not isinstance(expires, (int, float)):
            return "invalid_grant", _TIMEFRAME
        now = self._world.clock() + self._world.faults.credential.clock_skew_s
        if issued > now + _AHEAD_S or expires <= now or expires > issued + _LONGEST_S:
            return "invalid_grant", _TIMEFRAME
        return None

    def problem_of_bearer(self, authorization: bytes | None) -> str | None:
        """What is wrong with a request's access token: an ErrorInfo reason, or None."""
        if not authorization:
            return "CREDENTIALS_MISSING"
        scheme, _, token = authorization.decode("latin-1").partition(" ")
        times = self._issued.get(token)
        if scheme.lower() != "bearer" or times is None:
            return "ACCESS_TOKEN_TYPE_UNSUPPORTED" if scheme.lower() != "bearer" else "ACCESS_TOKEN_EXPIRED"
        issued_at, expires_at = times
        early = self._world.faults.credential.expire_at_s
        if early and self._world.elapsed >= early and issued_at < self._world.started + early:
            return "ACCESS_TOKEN_EXPIRED"
        return "ACCESS_TOKEN_EXPIRED" if self._world.clock() >= expires_at else None


def _no(error: str, description: str) -> Judgement:
    body = json.dumps({"error": error, "error_description": description}).encode()
    return Judgement([STATUS_HEADERS[400], JSON_HEADER], body, error)
