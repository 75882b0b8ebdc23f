"""FCM's side of a request: path, access token, quota, message, then the device's fate. Nothing here does I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from stentor.http2 import frames as f
from stentor.simulators.chance import (
    ALIVE,
    MALFORMED,
    THIRD_PARTY_AUTH,
    THROTTLED,
    WRONG_APP,
    fate_of,
)
from stentor.simulators.faults import GoAwayForm, MalformedForm
from stentor.simulators.fcm import errors
from stentor.simulators.fcm.message import dedup_id_of, is_token, payload_limit, payload_size, target_of
from stentor.simulators.fcm.oauth import ServiceAccount, TokenEndpoint
from stentor.simulators.fcm.quota import DeviceWindow, Window
from stentor.simulators.fcm.schema import BadField, check_request
from stentor.simulators.request_headers import Header
from stentor.simulators.server_connection import Rules
from stentor.simulators.world import GRACEFUL, Judgement, Session, World

TOKEN_PATH = "/token"
"""Where access tokens are asked for."""
_HTML: Header = (b"content-type", b"text/html; charset=UTF-8")
_ERROR_PAGE = (
    b"<!DOCTYPE html><html lang=en><title>Error 502 (Server Error)!!1</title>"
    b"<p>The server encountered a temporary error and could not complete your request.</html>"
)
_OK = [errors.STATUS_HEADERS[200], errors.JSON_HEADER]


@dataclass(frozen=True, slots=True, kw_only=True)
class FcmSetup:
    """How this FCM is set up; what goes wrong in it is in the faults."""

    project: str = "stentor-rehearsal"
    max_streams: int = 100
    access_token_lifetime_s: int = 3_599
    project_per_minute: int = 600_000
    device_per_minute: int = 240
    device_per_hour: int = 5_000
    max_idle_pings: int | None = None
    """More PINGs than this with no request between them: GOAWAY ENHANCE_YOUR_CALM `too_many_pings`. None: never."""


class FcmProvider:
    name = "fcm"

    def __init__(self, world: World, options: FcmSetup, account: ServiceAccount) -> None:
        self._world = world
        self.options = options
        self.account = account
        self.tokens = TokenEndpoint(world, account, options.access_token_lifetime_s)
        phase = 60 * world.chance.unit(b"minute phase", b"")
        self._minute = Window(options.project_per_minute, 60, phase)
        self._device_minute = DeviceWindow(options.device_per_minute, 60)
        self._device_hour = DeviceWindow(options.device_per_hour, 3_600)
        self._sequence = 0
        self._paths = {f"/v1/projects/{account.project}/messages:send".encode()}
        self._decode = msgspec.json.Decoder().decode

    # The connection.

    def rules(self, session: Session) -> Rules:
        faults = self._world.faults
        return Rules(
            max_streams=session.limit,
            initial_window=faults.slow_reader.initial_window,
            max_header_list=16_384,
            over_limit_code=f.PROTOCOL_ERROR if faults.stream_limit.over == "goaway" else None,
            over_limit_text="exceeded_max_concurrent_streams",
            takes_early=faults.stream_limit.before_ack == "take",
            max_idle_pings=self.options.max_idle_pings,
        )

    def open_session(self, certificate_topic: str | None) -> Session:
        return Session(self._world.faults.stream_limit.normal or self.options.max_streams)

    def goaway_words(self, form: GoAwayForm) -> tuple[int, bytes]:
        if form == "json":
            return f.NO_ERROR, b'{"reason":"server_shutting_down"}'
        if form == "text":
            return f.NO_ERROR, b"session_timed_out"
        return GRACEFUL

    def facts(self) -> dict[str, Any]:
        return {"project": self.account.project, "service_account_file": str(self.account.path)}

    # A request.

    def judge(self, session: Session, headers: list[Header], body: bytes) -> Judgement:
        found = dict(headers)
        method, path = found[b":method"], found[b":path"].partition(b"?")[0]
        if path == TOKEN_PATH.encode() and method == b"POST":
            return self.tokens.grant(body)
        problem = self.tokens.problem_of_bearer(found.get(b"authorization"))
        if problem:
            return errors.unauthenticated(problem)
        revoked = self._world.faults.credential.revoke_at_s
        if revoked and self._world.elapsed >= revoked:
            return errors.permission_denied(self.account.project)
        if path not in self._paths or method != b"POST":
            return errors.failure(404, "NOT_FOUND", "Requested entity was not found.", reason="wrong URL")
        if not self._minute.take(self._world.clock()):
            extra = self._world.retry_after(self._world.faults.storm.retry_after, "project")
            return errors.project_quota(self.account.project, "", extra)
        return self._judge_body(body)

    def _judge_body(self, body: bytes) -> Judgement:
        try:
            request = check_request(self._decode(body), "")
            message = request.get("message")
            if message is None:
                raise BadField("message", "Request contains an invalid argument: message is missing.")
            kind, address = target_of(message)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return errors.failure(400, "INVALID_ARGUMENT", "Invalid JSON payload received. Parsing error.")
        except BadField as bad:
            return errors.invalid_argument(bad.field, bad.problem)
        limit = payload_limit(kind)
        if len(body) > limit and payload_size(message) > limit:
            return errors.too_big(limit, address)
        if kind in ("token", "fid"):
            refusal = self._judge_device(address)
            if refusal is not None:
                return refusal
        else:
            refusal = self._weather(address)
            if refusal is not None:
                return refusal
        return self._accept(message, address, validate_only=request.get("validate_only") in (True, "true"))

    def _weather(self, address: str) -> Judgement | None:
        """Times of trouble, which befall any target."""
        world, faults = self._world, self._world.faults
        if world.trouble(faults.unavailable, b"unavailable", address):
            extra = world.retry_after(faults.unavailable.retry_after, address)
            return errors.unavailable(faults.unavailable.status, address, extra)
        storm = faults.storm
        self._sequence += 1
        key = address if storm.scope == "token" else str(self._sequence)
        if world.trouble(storm, b"storm", key):
            extra = world.retry_after(storm.retry_after, address)
            if storm.scope == "token":
                return errors.device_quota(address, extra)
            return errors.project_quota(self.account.project, address, extra)
        return None

    def _judge_device(self, address: str) -> Judgement | None:
        if not is_token(address):
            return errors.malformed_token(address)
        refusal = self._weather(address)
        if refusal is not None:
            return refusal
        world = self._world
        now = world.clock()
        devices = world.faults.devices
        fate = fate_of(world.chance, devices, address.encode())
        if not (self._device_minute.take(address, now) and self._device_hour.take(address, now)):
            return errors.device_quota(address, world.retry_after(world.faults.storm.retry_after, address))
        if fate == ALIVE:
            return None
        if fate == MALFORMED:
            return errors.malformed_token(address)
        if fate == WRONG_APP:
            return errors.sender_mismatch(address)
        if fate == THIRD_PARTY_AUTH:
            return errors.third_party_auth(address)
        if fate == THROTTLED:
            period = devices.throttled_for_s
            throttled = period and int(world.elapsed / period) % 2 == 0
            return errors.device_quota(address, []) if throttled else None
        return errors.unregistered(address)

    def _accept(self, message: dict[str, Any], address: str, *, validate_only: bool) -> Judgement:
        prefix = f"projects/{self.account.project}/messages/"
        if validate_only:
            return Judgement(_OK, msgspec.json.encode({"name": prefix + "fake_message_id"}), "")
        self._sequence += 1
        name = f"{prefix}0:{int(self._world.clock() * 1e6)}%{self._sequence:016x}"
        return Judgement(_OK, msgspec.json.encode({"name": name}), "", True, address, dedup_id_of(message), name)

    def malform(self, form: MalformedForm, answer: Judgement) -> Judgement:
        if form == "missing_id":
            return answer._replace(body=b"{}") if answer.accepted else answer
        spoilt = answer._replace(accepted=False, reason=f"malformed: {form}")
        if form == "html502":
            return spoilt._replace(headers=[errors.STATUS_HEADERS[502], _HTML], body=_ERROR_PAGE)
        if form == "empty":
            return spoilt._replace(headers=[errors.STATUS_HEADERS[500], errors.JSON_HEADER], body=b"")
        if form == "truncated":
            body = errors.unregistered("").body[:60]
            return spoilt._replace(headers=[errors.STATUS_HEADERS[404], errors.JSON_HEADER], body=body)
        details = [errors.fcm_error("NEVER_HEARD_OF_THIS")]
        unknown = errors.failure(400, "NEVER_HEARD_OF_THIS", "Something new.", details=details)
        return spoilt._replace(headers=unknown.headers, body=unknown.body)
