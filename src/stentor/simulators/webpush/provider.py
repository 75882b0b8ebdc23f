"""One push service's side of a request: its own trouble, then VAPID, the subscription, headers, and the body.

The body is decrypted with the subscriber's private key, so a message that no browser could read is refused. Messages
are kept undelivered until `deliver`, so that a later one of the same topic replaces them and they can be deleted.
Nothing here does I/O.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from stentor.http2 import frames as f
from stentor.simulators.chance import MALFORMED, THIRD_PARTY_AUTH, THROTTLED, UNREGISTERED, WRONG_APP, fate_of
from stentor.simulators.faults import GoAwayForm, MalformedForm
from stentor.simulators.request_headers import Header
from stentor.simulators.server_connection import Rules
from stentor.simulators.webpush.decryption import Browser, Undecipherable
from stentor.simulators.webpush.dialects import DIALECTS, Trouble
from stentor.simulators.world import GRACEFUL, Judgement, Session, World

LARGEST_BODY = 4096
DAY = 86_400
LONGEST_TTL = 30 * DAY
KEPT = 100_000
"""Undelivered messages of which a service knows; older ones count as delivered."""

_PATH = "/wpush/v2/"
_MESSAGE_PATH = "/m/"
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")
_URGENCIES = frozenset({"very-low", "low", "normal", "high"})
_SUBJECT = re.compile(r"mailto:[^\s<>()]+@[^\s<>()]+\.[^\s<>()]+|https://[^\s<>()]+")
_VAPID = re.compile(r"vapid\s+t=([\w.-]+)\s*,\s*k=([\w-]+={0,2})", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPushSetup:
    """How the services are set up; what goes wrong in them is in the faults."""

    dialects: tuple[str, ...] = ("mozilla", "fcm", "apple")
    """One origin for each."""
    max_streams: int = 100
    decrypt: bool = True
    """Off: bodies are taken unread, for benchmarks of senders."""


@dataclass(frozen=True, slots=True)
class Ailment:
    """What a service answers to every request while something is wrong with it."""

    status: int
    headers: tuple[Header, ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class UndeliveredMessage:
    """A message that waits for its browser."""

    id: str
    address: str
    topic: str
    ttl: int
    urgency: str
    payload: bytes
    taken_at: float


@dataclass(slots=True)
class Store:
    """A service's undelivered messages, the oldest first."""

    messages: dict[str, UndeliveredMessage] = field(default_factory=dict)
    _by_topic: dict[tuple[str, str], str] = field(default_factory=dict)
    replaced: int = 0

    def put(self, message: UndeliveredMessage) -> None:
        if message.topic:
            earlier = self._by_topic.get((message.address, message.topic))
            if earlier is not None and self.take(earlier):
                self.replaced += 1
            self._by_topic[message.address, message.topic] = message.id
        self.messages[message.id] = message
        while len(self.messages) > KEPT:
            self.take(next(iter(self.messages)))

    def take(self, message_id: str) -> UndeliveredMessage | None:
        found = self.messages.pop(message_id, None)
        if found is not None and found.topic:
            self._by_topic.pop((found.address, found.topic), None)
        return found


class WebPushProvider:
    """The service of one dialect. `origin` is known once it listens."""

    name = "webpush"

    def __init__(self, world: World, options: WebPushSetup, dialect: str, public_key: str) -> None:
        self._world = world
        self._options = options
        self.dialect = dialect
        self._refusal = DIALECTS[dialect]
        self._public_key = public_key
        self.origin = ""
        self.ails: Ailment | None = None
        """Set it to make this service answer so, whatever it is asked."""
        self.store = Store()
        self.redirected = 0
        """Requests to where an `Ailment` redirects: a sender that follows redirects shows here."""
        self._tokens: dict[str, tuple[str, float] | None] = {}  # verified: key, expiry
        self._browsers: dict[str, Browser] = {}
        self._addresses: dict[str, str] = {}  # of endpoints' paths
        self._count = 0

    # Subscriptions.

    def subscribe(self, number: int) -> str:
        """The subscription of a browser, the same whenever it is asked for: compact JSON, as a page would store it."""
        name = f"{self.dialect}-{number}"
        return self._browser(name).subscription(f"{self.origin}{_PATH}{name}.{self._mark(name)}")

    def _mark(self, name: str) -> str:
        """Makes endpoints unguessable, and as long as real ones."""
        return blake2b(f"{self._world.seed}/{name}".encode(), digest_size=48).hexdigest()

    def _browser(self, name: str) -> Browser:
        found = self._browsers.get(name)
        if found is None:
            found = self._browsers[name] = Browser.of(name, self._world.seed)
        return found

    # The connection.

    def rules(self, session: Session) -> Rules:
        faults = self._world.faults
        return Rules(
            max_streams=session.limit,
            initial_window=faults.slow_reader.initial_window,
            over_limit_code=f.REFUSED_STREAM if faults.stream_limit.over == "goaway" else None,
            over_limit_text="too many streams",
            takes_early=faults.stream_limit.before_ack == "take",
        )

    def open_session(self, certificate_topic: str | None) -> Session:
        return Session(self._world.faults.stream_limit.normal or self._options.max_streams)

    def goaway_words(self, form: GoAwayForm) -> tuple[int, bytes]:
        return GRACEFUL if form != "text" else (f.NO_ERROR, b"session_timed_out")

    def facts(self) -> dict[str, Any]:
        return {}

    # A request.

    def judge(self, session: Session, headers: list[Header], body: bytes) -> Judgement:
        found = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        path = found.get(":path", "")
        if path.startswith("/redirected"):
            self.redirected += 1
        if self.ails is not None:
            status = (b":status", b"%d" % self.ails.status)
            return Judgement([status, *self.ails.headers], self.ails.body, f"ails: {self.ails.status}")
        if path.startswith(_MESSAGE_PATH):
            return self._delete(found, path)
        name, _, mark = path.removeprefix(_PATH).partition(".")
        address = self._address(name, mark, path)
        if found.get(":method") != "POST":
            return self._refuse(Trouble.METHOD, address)
        trouble = self._problem_of_token(found, address) or self._problem_of_subscription(address)
        trouble = trouble or self._problem_of_headers(found, body)
        if trouble is not None:
            return self._refuse(*trouble) if isinstance(trouble, tuple) else self._refuse(trouble, address)
        payload = b""
        if body and self._options.decrypt:
            try:
                payload = self._browser(name).decrypt(body)
            except Undecipherable:
                return self._refuse(Trouble.BAD_CRYPTO, address)
        return self._accept(address, found, payload)

    def _address(self, name: str, mark: str, path: str) -> str:
        """The subscription of an endpoint, as it was given out; empty where there is none."""
        if (known := self._addresses.get(path)) is not None:
            return known
        dialect, _, number = name.rpartition("-")
        if not path.startswith(_PATH) or dialect != self.dialect or not number.isdecimal() or mark != self._mark(name):
            return ""
        found = self._addresses[path] = self.subscribe(int(number))
        return found

    def _problem_of_token(self, found: dict[str, str], address: str) -> Trouble | None:
        given = _VAPID.fullmatch(found.get("authorization", ""))
        if given is None:
            return Trouble.NO_TOKEN
        token, key = given[1], given[2].rstrip("=")
        known = f"{token} {key}"
        if known not in self._tokens:
            self._tokens[known] = _verify(token, key, self.origin)
        verified = self._tokens[known]
        now = self._world.clock() + self._world.faults.credential.clock_skew_s
        if verified is None or not now < verified[1] <= now + DAY:
            return Trouble.BAD_TOKEN
        revoked = self._world.faults.credential.revoke_at_s
        if revoked and self._world.elapsed >= revoked:
            return Trouble.BAD_TOKEN
        if address and key != self._public_key:
            return Trouble.OTHER_KEY
        return None

    def _problem_of_subscription(self, address: str) -> Trouble | tuple[Trouble, str, list[Header]] | None:
        if not address:
            return Trouble.UNKNOWN
        world, faults = self._world, self._world.faults
        if world.trouble(faults.unavailable, b"unavailable", address):
            trouble = Trouble.UNAVAILABLE if faults.unavailable.status == 503 else Trouble.FAILED
            return trouble, address, world.retry_after(faults.unavailable.retry_after, address)
        if world.trouble(faults.storm, b"storm", address):
            return Trouble.THROTTLED, address, world.retry_after(faults.storm.retry_after, address)
        fate = fate_of(world.chance, faults.devices, address.encode())
        if fate == UNREGISTERED:
            return Trouble.EXPIRED if world.chance.unit(b"how gone", address.encode()) < 0.5 else Trouble.GONE
        period = faults.devices.throttled_for_s
        if fate == THROTTLED and period and int(world.elapsed / period) % 2 == 0:
            return Trouble.THROTTLED
        fates = {MALFORMED: Trouble.UNKNOWN, WRONG_APP: Trouble.OTHER_KEY, THIRD_PARTY_AUTH: Trouble.FAILED}
        return fates.get(fate)

    def _problem_of_headers(self, found: dict[str, str], body: bytes) -> Trouble | None:
        ttl = found.get("ttl")
        if ttl is None:
            return Trouble.NO_TTL
        if not ttl.isascii() or not ttl.isdecimal():
            return Trouble.BAD_TTL
        if self.dialect == "windows" and (found.get("x-wns-cache-policy", "cache") == "cache") != (int(ttl) > 0):
            return Trouble.BAD_TTL
        if found.get("urgency", "normal") not in _URGENCIES:
            return Trouble.BAD_URGENCY
        topic = found.get("topic")
        if topic is not None and (
            not _TOPIC.fullmatch(topic) or (self.dialect == "apple" and len(topic) % 4 == 1)  # it decodes them
        ):
            return Trouble.BAD_TOPIC
        if len(body) > LARGEST_BODY:
            return Trouble.TOO_LARGE
        return None if not body or found.get("content-encoding") == "aes128gcm" else Trouble.BAD_CRYPTO

    def _accept(self, address: str, found: dict[str, str], payload: bytes) -> Judgement:
        self._count += 1
        message_id = f"{self.dialect}-{self._count}"
        topic, ttl = found.get("topic", ""), min(int(found["ttl"]), LONGEST_TTL)
        urgency = found.get("urgency", "normal")
        if ttl:
            now = self._world.clock()
            self.store.put(UndeliveredMessage(message_id, address, topic, ttl, urgency, payload, now))
        location = f"{self.origin}{_MESSAGE_PATH}{message_id}".encode()
        headers: list[Header] = [(b":status", b"201"), (b"location", location)]
        if self.dialect == "mozilla":
            headers.append((b"ttl", b"%d" % ttl))
        return Judgement(headers, b"", "", True, address, topic, message_id)

    def _delete(self, found: dict[str, str], path: str) -> Judgement:
        if found.get(":method") != "DELETE" or self.dialect != "mozilla":
            return self._refuse(Trouble.METHOD, "")
        message = self.store.take(path.removeprefix(_MESSAGE_PATH))
        if message is None or self._world.clock() > message.taken_at + message.ttl:
            return self._refuse(Trouble.NO_MESSAGE, "")
        self._world.tally.deleted += 1
        return Judgement([(b":status", b"204")], b"", "")

    def _refuse(self, trouble: Trouble, address: str, extra: list[Header] | None = None) -> Judgement:
        status, headers, body = self._refusal(trouble)
        if self.dialect == "mozilla":
            if trouble in (Trouble.GONE, Trouble.EXPIRED):
                headers = [*headers, (b"cache-control", b"max-age=86400")]
            if trouble is Trouble.UNAVAILABLE and not extra:
                headers = [*headers, (b"retry-after", b"30")]
        return Judgement([(b":status", b"%d" % status), *headers, *(extra or [])], body, f"{trouble}", address=address)

    # Delivery.

    def deliver(self) -> list[UndeliveredMessage]:
        """Hand all messages that are still worth it to their browsers, the oldest first."""
        now = self._world.clock()
        found = [each for each in self.store.messages.values() if now <= each.taken_at + each.ttl]
        for each in list(self.store.messages.values()):
            self.store.take(each.id)
        return found

    def malform(self, form: MalformedForm, answer: Judgement) -> Judgement:
        if form == "missing_id":
            return answer._replace(headers=[each for each in answer.headers if each[0] != b"location"])
        spoilt = answer._replace(accepted=False, reason=f"malformed: {form}")
        if form == "html502":
            page = b"<html><head><title>502 Bad Gateway</title></head><body>502</body></html>"
            return spoilt._replace(headers=[(b":status", b"502"), (b"content-type", b"text/html")], body=page)
        if form == "empty":
            return spoilt._replace(headers=[(b":status", b"500")], body=b"")
        body = b'{"code":410,"errno":10' if form == "truncated" else b'{"reason":"NeverHeardOfThis","errno":4711}'
        return spoilt._replace(headers=[(b":status", b"400"), (b"content-type", b"application/json")], body=body)


def _verify(token: str, key: str, origin: str) -> tuple[str, float] | None:
    """The key and the expiry of a token that is in order but for its time."""
    try:
        point = urlsafe_b64decode(key + "=" * (-len(key) % 4))
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        claims = jwt.decode(
            token, public, algorithms=["ES256"], audience=origin, options={"verify_exp": False, "require": ["exp"]}
        )
    except (ValueError, jwt.InvalidTokenError):
        return None
    subject, expiry = claims.get("sub"), claims["exp"]
    if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject) or not isinstance(expiry, int | float):
        return None
    return key, float(expiry)
