"""Access tokens, from a token server of our own on this machine, under a clock of our own."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth.exceptions import DefaultCredentialsError, RefreshError

from stentor.errors import CredentialError, CredentialUnavailable
from stentor.providers.fcm.credentials import SCOPE, FcmTokenSource

KEY = rsa.generate_private_key(65537, 2048)
KEY_PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
Answer = tuple[int, bytes]


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class TokenServer:
    """Gives out ya29.1, ya29.2, …, unless told to answer otherwise; keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[dict[str, str]] = []
        self.connections: list[str] = []
        """What each request wants to become of its connection."""
        self.answers: list[Answer] = []
        self.expires_in = 3600
        self.gate = threading.Event()
        self.gate.set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
                server.requests.append({key: values[0] for key, values in form.items()})
                server.connections.append(self.headers.get("connection", ""))
                server.gate.wait(10)
                status, body = server.next_answer(len(server.requests))
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class calls it so
                """Not on the screen."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self.http.server_port}/token"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    def next_answer(self, number: int) -> Answer:
        if self.answers:
            return self.answers.pop(0)
        token = {"access_token": f"ya29.{number}", "expires_in": self.expires_in, "token_type": "Bearer"}
        return 200, json.dumps(token).encode()

    def close(self) -> None:
        self.gate.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = TokenServer()
    yield server
    server.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make_info(uri: str = "https://oauth2.googleapis.com/token") -> dict[str, Any]:
    return {
        "type": "service_account",
        "project_id": "my-proj",
        "private_key_id": "k1",
        "private_key": KEY_PEM,
        "client_email": "push@my-proj.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": uri,
    }


@pytest.fixture
def source(server: TokenServer, clock: Clock) -> Iterator[FcmTokenSource]:
    made = FcmTokenSource.from_info(make_info(server.uri), clock=clock)
    yield made
    made.close()


async def settle(source: FcmTokenSource, wanted: Callable[[], bool]) -> None:
    """Wait for a renewal in the background."""
    async with asyncio.timeout(30):
        while not wanted():  # noqa: ASYNC110  # a thread of the HTTP server gets there, which knows no loop
            await asyncio.sleep(0.005)


INVALID_GRANT = (400, b'{"error":"invalid_grant","error_description":"Invalid JWT: Token must be a short-lived token"}')


async def test_a_token_is_asked_for_as_google_wants_it(server: TokenServer, source: FcmTokenSource) -> None:
    assert await source.authorization() == b"Bearer ya29.1"
    assert source.project_id == "my-proj"
    (request,) = server.requests
    assert request["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    options: jwt.types.Options = {"verify_aud": False, "verify_iat": False}
    claims = jwt.decode(request["assertion"], KEY.public_key(), algorithms=["RS256"], options=options)
    assert claims["iss"] == "push@my-proj.iam.gserviceaccount.com"
    assert claims["scope"] == SCOPE
    assert claims["exp"] - claims["iat"] <= 3600


async def test_its_connection_is_not_kept_until_the_next_one(server: TokenServer, source: FcmTokenSource) -> None:
    """That is in an hour, when what is on the way has long forgotten the connection."""
    await source.authorization()
    assert server.connections == ["close"]


async def test_many_callers_make_one_request(server: TokenServer, source: FcmTokenSource) -> None:
    values = await asyncio.gather(*(source.authorization() for _ in range(50)))
    assert set(values) == {b"Bearer ya29.1"}
    assert len(server.requests) == 1
    assert await source.authorization() == b"Bearer ya29.1"
    assert len(server.requests) == 1


async def test_a_caller_that_gives_up_does_not_end_it_for_the_others(
    server: TokenServer, source: FcmTokenSource
) -> None:
    server.gate.clear()
    first = asyncio.create_task(source.authorization())
    second = asyncio.create_task(source.authorization())
    await settle(source, lambda: len(server.requests) == 1)
    first.cancel()
    server.gate.set()
    assert await second == b"Bearer ya29.1"
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_the_event_loop_goes_on_meanwhile(server: TokenServer, source: FcmTokenSource) -> None:
    server.gate.clear()
    waiting = asyncio.create_task(source.authorization())
    await settle(source, lambda: len(server.requests) == 1)
    for _ in range(20):
        await asyncio.sleep(0)
    assert not waiting.done()
    server.gate.set()
    await waiting


async def test_it_is_renewed_ahead_and_nobody_waits(server: TokenServer, source: FcmTokenSource, clock: Clock) -> None:
    await source.authorization()
    clock.now += 3600 - 301
    assert await source.authorization() == b"Bearer ya29.1"
    assert len(server.requests) == 1
    clock.now += 10
    server.gate.clear()
    for _ in range(20):
        assert await source.authorization() == b"Bearer ya29.1"
    await settle(source, lambda: len(server.requests) == 2)
    server.gate.set()
    await settle(source, lambda: source._renewal is None)
    assert await source.authorization() == b"Bearer ya29.2"
    assert len(server.requests) == 2


async def test_a_short_lived_token_is_not_renewed_all_the_time(
    server: TokenServer, source: FcmTokenSource, clock: Clock
) -> None:
    server.expires_in = 60
    for _ in range(5):
        assert await source.authorization() == b"Bearer ya29.1"
    clock.now += 45
    assert await source.authorization() == b"Bearer ya29.1"
    assert len(server.requests) == 1


@pytest.mark.parametrize("answer", [(500, b"{}"), (503, b"<html>"), (502, b"<html>"), (429, b"{}")])
async def test_while_renewing_fails_the_old_token_serves_until_its_end(
    server: TokenServer, source: FcmTokenSource, clock: Clock, answer: Answer
) -> None:
    await source.authorization()
    server.answers = [answer]
    clock.now += 3600 - 100
    assert await source.authorization() == b"Bearer ya29.1"
    await settle(source, lambda: source._failure is not None)
    asked = len(server.requests)
    assert await source.authorization() == b"Bearer ya29.1"
    assert len(server.requests) == asked, "not again right after a failure"
    server.answers = [answer]
    clock.now += 101
    with pytest.raises(CredentialUnavailable):
        await source.authorization()
    clock.now += 11
    assert (await source.authorization()).startswith(b"Bearer ya29.")


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html>welcome to this hotel's network</html>"),
        (200, b"{}"),
        (200, b'{"access_token":5}'),
        (200, b'{"access_token":"a\\r\\nb"}'),
        (200, b'{"access_token":"x","expires_in":"soon"}'),
        (200, b"[]"),
        (404, b"<html>"),
        (400, b'{"error":{"code":1}}'),
    ],
)
async def test_senseless_answers_may_pass(
    server: TokenServer, source: FcmTokenSource, clock: Clock, answer: Answer
) -> None:
    server.answers = [answer]
    with pytest.raises(CredentialUnavailable):
        await source.authorization()
    with pytest.raises(CredentialUnavailable):
        await source.authorization()
    assert len(server.requests) == 1, "not again right after a failure"
    clock.now += 11
    assert await source.authorization() == b"Bearer ya29.2"


async def test_nobody_there(server: TokenServer, clock: Clock) -> None:
    source = FcmTokenSource.from_info(make_info("http://127.0.0.1:1/token"), clock=clock)
    with pytest.raises(CredentialUnavailable, match="no access token just now"):
        await source.authorization()
    source.close()


@pytest.mark.parametrize("code", ["invalid_grant", "invalid_client", "disabled_client"])
async def test_some_refusals_are_for_good(server: TokenServer, source: FcmTokenSource, clock: Clock, code: str) -> None:
    server.answers = [(400, json.dumps({"error": code, "error_description": "no"}).encode())]
    with pytest.raises(CredentialError, match=rf"{code} \(no\)\. Check this machine's clock.*revoked"):
        await source.authorization()


async def test_a_refusal_for_good_is_told_although_the_old_token_serves(
    server: TokenServer, source: FcmTokenSource, clock: Clock
) -> None:
    await source.authorization()
    server.answers = [INVALID_GRANT]
    clock.now += 3600 - 100
    assert await source.authorization() == b"Bearer ya29.1"
    await settle(source, lambda: source._failure is not None)
    with pytest.raises(CredentialError, match="invalid_grant"):
        await source.authorization()
    clock.now += 11
    with pytest.raises(CredentialError, match="invalid_grant"):
        await source.authorization()  # asks again meanwhile
    await settle(source, lambda: source._renewal is None)
    assert (await source.authorization()).startswith(b"Bearer ya29.")


async def test_a_refused_token_is_replaced_once(server: TokenServer, source: FcmTokenSource, clock: Clock) -> None:
    first = await source.authorization()
    clock.now += 100
    renewals = await asyncio.gather(*(source.refused(first) for _ in range(20)))
    assert all(renewal.renewed for renewal in renewals)
    assert len(server.requests) == 2
    second = await source.authorization()
    assert second == b"Bearer ya29.2"
    again = await source.refused(second)
    assert not again.renewed
    assert "clock" in again.explanation
    assert (await source.refused(first)).renewed, "an answer to a request of before"
    assert len(server.requests) == 2
    clock.now += 1000
    assert (await source.refused(second)).renewed, "much later it may have been revoked as well"


async def test_the_same_token_again_is_no_renewal(server: TokenServer, source: FcmTokenSource) -> None:
    first = await source.authorization()
    server.answers = [(200, b'{"access_token":"ya29.1","expires_in":1000}')]
    assert not (await source.refused(first)).renewed


async def test_a_refused_token_is_not_given_out_while_another_is_fetched(
    server: TokenServer, source: FcmTokenSource
) -> None:
    first = await source.authorization()
    server.gate.clear()
    renewal = asyncio.create_task(source.refused(first))
    waiting = asyncio.create_task(source.authorization())
    await settle(source, lambda: len(server.requests) == 2)
    assert not waiting.done()
    server.gate.set()
    assert (await renewal).renewed
    assert await waiting == b"Bearer ya29.2"


async def test_no_secret_is_shown(server: TokenServer, source: FcmTokenSource) -> None:
    await source.authorization()
    source.hold()
    assert "ya29" not in repr(source)
    assert "ya29" not in repr(source._token)
    assert "PRIVATE" not in repr(vars(source))


# Where the credentials come from


async def test_a_file_and_another_endpoint(server: TokenServer, clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "account.json"
    path.write_text(json.dumps(make_info()))
    source = FcmTokenSource.from_file(path, clock=clock, token_uri=server.uri)
    assert await source.authorization() == b"Bearer ya29.1"
    assert str(path) in repr(source)
    source.close()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("nonsense", "is not JSON"),
        ("[]", "of another kind"),
        ('{"type":"authorized_user"}', "of another kind"),
        (json.dumps(make_info() | {"private_key": "junk"}), "damaged key"),
        (json.dumps(make_info() | {"client_email": None}), "incomplete"),
        (json.dumps(make_info("http://example.com/token")), "must be https"),
        (json.dumps(make_info("file:///etc/passwd")), "must be https"),
        (json.dumps({key: value for key, value in make_info().items() if key != "token_uri"}), "must be https"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, clock: Clock, content: str, problem: str) -> None:
    path = tmp_path / "account.json"
    path.write_text(content)
    with pytest.raises(CredentialError, match=problem) as raised:
        FcmTokenSource.from_file(path, clock=clock)
    assert str(path) in str(raised.value)
    assert "PRIVATE KEY" not in str(raised.value)


async def test_a_key_whose_line_ends_are_escaped_twice_and_a_project_that_is_a_number(
    server: TokenServer, clock: Clock
) -> None:
    info = make_info(server.uri) | {"private_key": KEY_PEM.replace("\n", "\\n"), "project_id": 123456789012}
    source = FcmTokenSource.from_info(info, clock=clock)
    assert await source.authorization() == b"Bearer ya29.1"
    assert source.project_id == "123456789012"
    source.close()


def make_federation(folder: Path, uri: str) -> dict[str, Any]:
    token = folder / "oidc.token"
    token.write_text("of-this-machine")
    return {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/o",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": uri,
        "credential_source": {"file": str(token)},
    }


async def test_a_workload_identity_federation(server: TokenServer, clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "federation.json"
    path.write_text(json.dumps(make_federation(tmp_path, server.uri)))
    source = FcmTokenSource.from_file(path, clock=clock)
    assert await source.authorization() == b"Bearer ya29.1"
    assert source.project_id is None
    assert server.requests[0]["subject_token"] == "of-this-machine"
    source.close()


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"token_url": "http://sts.example.com/v1/token"}, "must be https"),
        ({"service_account_impersonation_url": "http://iam.example.com/"}, "must be https"),
        ({"credential_source": None}, "incomplete"),
        ({"credential_source": 7}, "incomplete"),
        ({"audience": None}, "incomplete"),
    ],
)
def test_a_wrong_federation_is_named(tmp_path: Path, clock: Clock, changed: dict[str, Any], problem: str) -> None:
    path = tmp_path / "federation.json"
    path.write_text(json.dumps(make_federation(tmp_path, "https://sts.googleapis.com/v1/token") | changed))
    with pytest.raises(CredentialError, match=problem) as raised:
        FcmTokenSource.from_file(path, clock=clock)
    assert str(path) in str(raised.value)


def test_missing_files(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(CredentialError, match="cannot be read"):
        FcmTokenSource.from_file(tmp_path / "nowhere.json", clock=clock)
    with pytest.raises(CredentialError, match="no CA file"):
        FcmTokenSource.from_info(make_info(), clock=clock, ca_file=tmp_path / "nowhere.pem")


def test_the_ca_file_goes_before_the_environment(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, server: TokenServer
) -> None:
    seen: list[object] = []

    def send(self: object, request: object, **options: object) -> None:
        seen.append(options["verify"])
        raise ValueError("enough seen")

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "other.pem")
    monkeypatch.setattr("requests.adapters.HTTPAdapter.send", send)
    ca_file = tmp_path / "ca.pem"
    ca_file.touch()
    source = FcmTokenSource.from_info(make_info(), clock=clock, ca_file=ca_file)
    with pytest.raises(CredentialUnavailable):
        asyncio.run(source.authorization())
    assert seen == [str(ca_file)]
    source.close()


async def test_application_default_credentials(
    server: TokenServer, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "default.json"
    path.write_text(json.dumps(make_info(server.uri) | {"project_id": "default-proj"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    for name in ("GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "payer")
    source = FcmTokenSource.application_default(clock=clock)
    assert await source.authorization() == b"Bearer ya29.1"
    assert source.project_id == "default-proj"
    assert source.quota_project == "payer"
    source.close()


def failure(kind: type[Exception], *args: object, retryable: bool = False) -> Exception:
    made = kind(*args)
    vars(made)["_retryable"] = retryable
    return made


@pytest.mark.parametrize(
    ("raised", "wanted", "problem"),
    [
        (failure(DefaultCredentialsError, "none"), CredentialError, "GOOGLE_APPLICATION_CREDENTIALS"),
        (failure(RefreshError, "x", {"error": "invalid_grant"}), CredentialError, "invalid_grant"),
        (failure(RefreshError, "x", {"error": "invalid_grant"}, retryable=True), CredentialUnavailable, "just now"),
        (failure(RefreshError, "x", "text"), CredentialUnavailable, "just now"),
    ],
)
async def test_default_credentials_that_fail(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, raised: Exception, wanted: type[Exception], problem: str
) -> None:
    def fail(**_: object) -> None:
        raise raised

    monkeypatch.setattr("google.auth.default", fail)
    source = FcmTokenSource.application_default(clock=clock)
    with pytest.raises(wanted, match=problem):
        await source.authorization()
    source.close()


async def test_the_real_clock_serves(server: TokenServer) -> None:
    source = FcmTokenSource.from_info(make_info(server.uri), clock=time.time)
    assert await source.authorization() == b"Bearer ya29.1"
    assert await source.authorization() == b"Bearer ya29.1"
    assert len(server.requests) == 1
    source.close()
