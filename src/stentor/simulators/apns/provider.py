"""APNs' side of a request: method, auth, headers, path and token, payload, then the device's fate.

Method and auth are known to come first; the order of the rest is a guess. Nothing here does I/O.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any, Literal

from stentor.http2 import frames as f
from stentor.simulators.apns import headers as rules
from stentor.simulators.apns.credentials import AuthKey, ProviderToken, TokenVerifier, is_expired, is_from_the_future
from stentor.simulators.chance import (
    MALFORMED,
    REREGISTERED,
    THIRD_PARTY_AUTH,
    THROTTLED,
    UNREGISTERED,
    WRONG_APP,
    fate_of,
)
from stentor.simulators.faults import GoAwayForm, MalformedForm
from stentor.simulators.request_headers import Header
from stentor.simulators.server_connection import Rules
from stentor.simulators.world import GRACEFUL, Judgement, Session, World

_UPDATE_INTERVAL_S = 20 * 60
_DAY_MS = 86_400_000
_LONG_AGO_MS = 1_437_179_036_000  # older than any registration of ours: the device came back since
_OVER_LIMIT_TEXT = "Maximum active streams violated for this endpoint."
_JSON: Header = (b"content-type", b"application/json")
_HTML: Header = (b"content-type", b"text/html")
_STATUS_OK: Header = (b":status", b"200")
_STATUS = {status: (b":status", str(status).encode()) for status in {*rules.STATUS.values(), 500, 502}}
_REASON_BODIES = {reason: json.dumps({"reason": reason}, separators=(",", ":")).encode() for reason in rules.STATUS}

NewTokenRule = Literal["connection", "key", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApnsSetup:
    """How this APNs is set up; what goes wrong in it is in the faults."""

    max_streams: int = 1_000
    """The limit after a connection's first authenticated request."""
    topics: frozenset[str] | None = None
    """The bundle ids of the team; None accepts any."""
    environment: Literal["production", "sandbox"] = "production"
    unique_id: bool = False
    """Add `apns-unique-id` to answers, as the sandbox does."""
    push_type_required: bool = False
    new_token_rule: NewTokenRule = "connection"
    """Where a second provider token within 20 minutes counts: on its connection, for its key, or nowhere."""


@dataclass(slots=True)
class _TokenHistory:
    """The provider tokens that a connection (or a key) has used."""

    current: bytes = b""
    previous: bytes = b""
    changed_at: float = field(default=float("-inf"))


class ApnsSession(Session):
    __slots__ = ("certificate_topic", "history", "key", "points", "topics")

    def __init__(self, limit: int, points: float, certificate_topic: str | None) -> None:
        super().__init__(limit)
        self.points = points
        self.certificate_topic = certificate_topic
        self.key: AuthKey | None = None
        self.topics: frozenset[str] | None = None
        self.history = _TokenHistory()


class ApnsProvider:
    name = "apns"

    def __init__(self, world: World, options: ApnsSetup, keys: dict[str, AuthKey], facts: dict[str, Any]) -> None:
        self._world = world
        self.options = options
        self.topics = options.topics
        """May be changed while running; a connection keeps those that it began with."""
        self.tokens = TokenVerifier(keys)
        self._histories: dict[str, _TokenHistory] = {}
        self._facts = facts

    # The connection.

    @property
    def _full_limit(self) -> int:
        return self._world.faults.stream_limit.normal or self.options.max_streams

    def rules(self, session: Session) -> Rules:
        faults = self._world.faults
        return Rules(
            max_streams=session.limit,
            initial_window=faults.slow_reader.initial_window,
            over_limit_code=f.REFUSED_STREAM if faults.stream_limit.over == "goaway" else None,
            over_limit_text=_OVER_LIMIT_TEXT,
            takes_early=faults.stream_limit.before_ack == "take",
        )

    def open_session(self, certificate_topic: str | None) -> ApnsSession:
        """A token shows itself with the first request, and the limit rises with it; a certificate is there at once."""
        limit = 1 if certificate_topic is None else self._full_limit
        return ApnsSession(limit, self._world.faults.error_budget.points, certificate_topic)

    def goaway_words(self, form: GoAwayForm) -> tuple[int, bytes]:
        if form == "json":
            return f.NO_ERROR, b'{"reason":"Shutdown"}'
        if form == "text":
            return f.REFUSED_STREAM, _OVER_LIMIT_TEXT.encode()
        return GRACEFUL

    def facts(self) -> dict[str, Any]:
        return self._facts

    # A request.

    def judge(self, session: Session, headers: list[Header], body: bytes) -> Judgement:
        assert isinstance(session, ApnsSession)
        found = rules.once_only(headers) or {}
        apns_id = found.get(b"apns-id") or str(uuid.uuid4()).encode()
        given = dict(headers)
        if given[b":method"] != b"POST":
            return self._refuse(session, "MethodNotAllowed", apns_id, found)
        reason = self._problem_of_auth(session, given) or self._problem_of_account(found)
        if reason is None:
            self._on_authenticated(session)
            reason = self._problem_of_request(session, found, body) if found else "DuplicateHeaders"
        if reason is not None:
            return self._refuse(session, reason, apns_id, found)
        token, _ = rules.device_of(found)
        return self._judge_device(session, token, apns_id, found)

    def _problem_of_auth(self, session: ApnsSession, found: dict[bytes, bytes]) -> str | None:
        if session.certificate_topic is not None:
            return None
        authorization = found.get(b"authorization")
        if authorization is None:
            return "MissingProviderToken"
        token = self.tokens.verify(authorization)
        if token is None:
            return "InvalidProviderToken"
        now = self._world.clock() + self._world.faults.credential.clock_skew_s
        if self._is_expired(token, now):
            return "ExpiredProviderToken"
        if is_from_the_future(token, now):
            return "InvalidProviderToken"
        if token.key.environment not in ("all", self.options.environment):
            return "BadEnvironmentKeyInToken"
        if session.key is not None and session.key.key_id != token.key.key_id:
            return "UnrelatedKeyIdInToken"
        if not self._may_use(session, authorization, token, now):
            return "TooManyProviderTokenUpdates"
        session.key = token.key
        return None

    def _is_expired(self, token: ProviderToken, now: float) -> bool:
        early = self._world.faults.credential.expire_at_s
        if early and self._world.elapsed >= early and token.issued_at < self._world.started + early:
            return True
        return is_expired(token, now)

    def _may_use(self, session: ApnsSession, authorization: bytes, token: ProviderToken, now: float) -> bool:
        """At most one new token in 20 minutes; replacing one that has expired is always right."""
        if self.options.new_token_rule == "off":
            return True
        history = session.history
        if self.options.new_token_rule == "key":
            history = self._histories.setdefault(token.key.key_id, _TokenHistory())
        if authorization in (history.current, history.previous):
            return True
        current = self.tokens.verify(history.current) if history.current else None
        expired = current is None or self._is_expired(current, now)
        if not expired and now - history.changed_at < _UPDATE_INTERVAL_S:
            return False
        history.previous, history.current, history.changed_at = history.current, authorization, now
        return True

    def _problem_of_account(self, found: dict[bytes, bytes]) -> str | None:
        revoked = self._world.faults.credential.revoke_at_s
        if revoked and self._world.elapsed >= revoked:
            return "InvalidProviderToken"
        return None

    def _on_authenticated(self, session: ApnsSession) -> None:
        has_credit = session.points > 0 or not self._world.faults.error_budget.points
        if session.limit < self._full_limit and has_credit:
            session.limit = self._full_limit
        if session.topics is None:
            session.topics = self.topics

    def _problem_of_request(self, session: ApnsSession, found: dict[bytes, bytes], body: bytes) -> str | None:
        by_certificate = session.certificate_topic is not None
        push_type = found.get(b"apns-push-type")
        topic = found.get(b"apns-topic")
        if topic is None and session.certificate_topic is not None:
            topic = session.certificate_topic.encode() + rules.TOPIC_SUFFIX.get(push_type or b"alert", b"")
        problem = rules.problem_of_headers(
            found, by_certificate=by_certificate, push_type_required=self.options.push_type_required
        ) or rules.problem_of_topic(topic, push_type)
        if problem:
            return problem
        assert topic is not None
        if not self._allows_topic(session, rules.bundle_of(topic)):
            return "TopicDisallowed"
        token, problem = rules.device_of(found)
        if problem:
            return problem
        if not rules.is_device_token(token):
            return "BadDeviceToken"
        return rules.problem_of_payload(body, push_type)

    def _allows_topic(self, session: ApnsSession, bundle: str) -> bool:
        if session.certificate_topic is not None:
            return bundle == session.certificate_topic
        if session.key is not None and session.key.topics is not None and bundle not in session.key.topics:
            return False
        return session.topics is None or bundle in session.topics

    # The device.

    def _judge_device(self, session: ApnsSession, token: str, apns_id: bytes, found: dict[bytes, bytes]) -> Judgement:
        world, faults = self._world, self._world.faults
        key = token.lower()
        if world.trouble(faults.unavailable, b"unavailable", key):
            reason = "ServiceUnavailable" if faults.unavailable.status == 503 else "InternalServerError"
            return self._refuse(session, reason, apns_id, found, world.retry_after(faults.unavailable.retry_after, key))
        if world.trouble(faults.storm, b"storm", key if faults.storm.scope == "token" else apns_id.decode()):
            extra = world.retry_after(faults.storm.retry_after, key)
            return self._refuse(session, "TooManyRequests", apns_id, found, extra)
        fate = fate_of(world.chance, faults.devices, key.encode())
        if fate in (UNREGISTERED, REREGISTERED):
            return self._gone(session, token, apns_id, reregistered=fate == REREGISTERED)
        if fate == MALFORMED:
            return self._refuse(session, "BadDeviceToken", apns_id, found)
        if fate == WRONG_APP:
            return self._refuse(session, "DeviceTokenNotForTopic", apns_id, found)
        if fate == THIRD_PARTY_AUTH:
            return self._refuse(session, "Forbidden", apns_id, found)
        period = faults.devices.throttled_for_s
        if fate == THROTTLED and period and int(world.elapsed / period) % 2 == 0:
            return self._refuse(session, "TooManyRequests", apns_id, found)
        return self._accept(session, token, apns_id, found)

    def _accept(self, session: ApnsSession, token: str, apns_id: bytes, found: dict[bytes, bytes]) -> Judgement:
        budget = self._world.faults.error_budget
        if session.points < budget.points:
            session.points = min(budget.points, session.points + budget.refund)
        headers = [_STATUS_OK, (b"apns-id", apns_id)]
        if self.options.unique_id:
            headers.append((b"apns-unique-id", str(uuid.uuid4()).encode()))
        message_id = apns_id.decode()
        dedup_id = found.get(b"apns-collapse-id", apns_id).decode(errors="replace")
        return Judgement(headers, b"", "", True, token, dedup_id, message_id)

    def _gone(self, session: ApnsSession, token: str, apns_id: bytes, *, reregistered: bool) -> Judgement:
        """410, with the same timestamp whenever it is asked: 1 to 31 days before the simulator's start."""
        days = 1 + 30 * self._world.chance.unit(b"gone since", token.lower().encode())
        since = _LONG_AGO_MS if reregistered else int(self._world.started * 1000 - days * _DAY_MS)
        body = json.dumps({"reason": "Unregistered", "timestamp": since}, separators=(",", ":")).encode()
        return Judgement([_STATUS[410], (b"apns-id", apns_id), _JSON], body, "Unregistered", address=token)

    def _refuse(
        self,
        session: ApnsSession,
        reason: str,
        apns_id: bytes,
        found: dict[bytes, bytes],
        extra: list[Header] | None = None,
    ) -> Judgement:
        status = rules.STATUS[reason]
        if 400 <= status < 500 and status != 410:
            self._charge(session, reason)
        headers = [_STATUS[status], (b"apns-id", apns_id), _JSON, *(extra or ())]
        path = found.get(b":path", b"")
        return Judgement(headers, _REASON_BODIES[reason], reason, address=path.rpartition(b"/")[2].decode("latin-1"))

    def _charge(self, session: ApnsSession, reason: str) -> None:
        """Errors use up the connection's credit: first the limit falls to 1, then the connection is ended."""
        budget = self._world.faults.error_budget
        if not budget.points:
            return
        session.points -= budget.bad_device_token if reason == "BadDeviceToken" else budget.other
        if session.points <= 0:
            session.limit = 1
        if session.points <= -budget.grace and session.farewell is None:
            session.farewell = (f.NO_ERROR, _REASON_BODIES[reason])

    def malform(self, form: MalformedForm, answer: Judgement) -> Judgement:
        apns_id = next((header for header in answer.headers if header[0] == b"apns-id"), (b"apns-id", b""))
        if form == "missing_id":
            return answer._replace(headers=[header for header in answer.headers if header[0] != b"apns-id"])
        spoilt = answer._replace(accepted=False, reason=f"malformed: {form}")
        if form == "html502":
            body = b"<html><head><title>502 Bad Gateway</title></head><body>502</body></html>"
            return spoilt._replace(headers=[_STATUS[502], _HTML], body=body)
        if form == "empty":
            return spoilt._replace(headers=[_STATUS[500], apns_id], body=b"")
        body = b'{"reason":"BadDeviceTo' if form == "truncated" else b'{"reason":"NeverHeardOfThis"}'
        return spoilt._replace(headers=[_STATUS[400], apns_id, _JSON], body=body)
