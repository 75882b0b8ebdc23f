"""APNs' verdicts: every reason that a sender can provoke, in the order in which APNs looks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from jwt.utils import base64url_decode, base64url_encode

from stentor.simulators.apns import ApnsSetup, ApnsSimulator
from stentor.simulators.apns.headers import STATUS
from stentor.simulators.clock import MovableClock
from stentor.simulators.request_headers import Header
from stentor.simulators.world import Judgement, Session

TOKEN = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0"
UUID = "123e4567-e89b-42d3-a456-426614174000"


class World:
    """A simulator that isn't started: its provider can be asked all the same."""

    def __init__(self, directory: Path, options: ApnsSetup | None = None) -> None:
        self.clock = MovableClock(lambda: 1_800_000_000.0)
        self.apns = ApnsSimulator(options, directory=directory, clock=self.clock)
        self.provider = self.apns.apns
        self.usual_token = self.token()
        self.session: Session = self.provider.open_session(None)

    def token(self, *, age: float = 0.0, key: Any = None, **claims: Any) -> str:
        key = key or self.apns.key
        payload = {"iss": key.team_id, "iat": int(self.clock() - age), **claims}
        return jwt.encode(payload, key.path.read_bytes(), algorithm="ES256", headers={"kid": key.key_id})

    def ask(
        self,
        body: bytes = b'{"aps":{}}',
        *,
        token: str | None = None,
        path: str = f"/3/device/{TOKEN}",
        method: str = "POST",
        extra: tuple[Header, ...] = (),
        **changes: str | None,
    ) -> Judgement:
        headers: dict[str, str | None] = {
            ":method": method,
            ":path": path,
            "authorization": f"bearer {token or self.usual_token}",
            "apns-topic": "com.example.app",
            "apns-push-type": "alert",
            **{name.replace("_", "-"): value for name, value in changes.items()},
        }
        plain = [(name.encode(), value.encode()) for name, value in headers.items() if value is not None]
        return self.provider.judge(self.session, [*plain, *extra], body)

    def reason(self, *args: Any, **kwargs: Any) -> str:
        answer = self.ask(*args, **kwargs)
        if answer.reason:
            assert json.loads(answer.body)["reason"] == answer.reason
            assert dict(answer.headers)[b":status"] == str(STATUS[answer.reason]).encode()
            assert not answer.accepted
        return answer.reason


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_good_push_is_accepted_and_its_id_echoed(world: World) -> None:
    answer = world.ask(apns_id=UUID, apns_collapse_id="c", apns_priority="5", apns_expiration="0")
    assert answer.accepted
    assert answer.headers == [(b":status", b"200"), (b"apns-id", UUID.encode())]
    assert (answer.address, answer.dedup_id, answer.message_id) == (TOKEN, "c", UUID)


def test_an_id_is_made_where_none_was_given(world: World) -> None:
    first, second = (dict(world.ask().headers)[b"apns-id"] for _ in range(2))
    assert len(first) == 36
    assert first != second


HEADER_REASONS: list[tuple[dict[str, Any], str]] = [
    ({"authorization": None}, "MissingProviderToken"),
    ({"authorization": "bearer x.y.z"}, "InvalidProviderToken"),
    ({"authorization": "basic abc"}, "InvalidProviderToken"),
    ({"apns_id": "not-a-uuid"}, "BadMessageId"),
    ({"apns_id": UUID.upper()}, "BadMessageId"),
    ({"apns_expiration": "soon"}, "BadExpirationDate"),
    ({"apns_expiration": "-1"}, "BadExpirationDate"),
    ({"apns_priority": "7"}, "BadPriority"),
    ({"apns_push_type": "background", "apns_priority": "10"}, "BadPriority"),
    ({"apns_push_type": "shout"}, "InvalidPushType"),
    ({"apns_collapse_id": "x" * 65}, "BadCollapseId"),
    ({"apns_topic": None}, "MissingTopic"),
    ({"apns_topic": "com/example"}, "BadTopic"),
    ({"apns_topic": "com.example.app.voip"}, "BadTopic"),
    ({"apns_push_type": "voip"}, "BadTopic"),
    ({"extra": ((b"apns-topic", b"com.example.app"),)}, "DuplicateHeaders"),
    ({"method": "GET"}, "MethodNotAllowed"),
    ({"method": "GET", "authorization": None, "path": "/", "body": b""}, "MethodNotAllowed"),
    ({"path": "/2/device/00"}, "BadPath"),
    ({"path": f"/3/device/{TOKEN}/x"}, "BadPath"),
    ({"path": "/3/device/"}, "MissingDeviceToken"),
    ({"path": "/3/device/xyz"}, "BadDeviceToken"),
    ({"path": "/3/device/00f"}, "BadDeviceToken"),
    ({"body": b""}, "PayloadEmpty"),
    ({"body": b"not json"}, "PayloadEmpty"),
    ({"body": b'{"a":"' + b"x" * 4_089 + b'"}'}, "PayloadTooLarge"),
    ({"body": b'{"a":"' + b"x" * 4_088 + b'"}'}, ""),
]


@pytest.mark.parametrize(("changes", "reason"), HEADER_REASONS)
def test_reasons(world: World, changes: dict[str, Any], reason: str) -> None:
    assert world.reason(**changes) == reason


@pytest.mark.parametrize(
    ("kind", "topic"),
    [
        ("alert", "com.example.app"),
        ("background", "com.example.app"),
        ("voip", "com.example.app.voip"),
        ("complication", "com.example.app.complication"),
        ("fileprovider", "com.example.app.pushkit.fileprovider"),
        ("location", "com.example.app.location-query"),
        ("pushtotalk", "com.example.app.voip-ptt"),
        ("liveactivity", "com.example.app.push-type.liveactivity"),
        ("widgets", "com.example.app.push-type.widgets"),
        ("controls", "com.example.app.push-type.controls"),
        ("mdm", "com.example.app"),
    ],
)
def test_every_push_type_has_its_topic(world: World, kind: str, topic: str) -> None:
    assert world.reason(apns_push_type=kind, apns_topic=topic, apns_priority="5") == ""


def test_voip_may_be_larger(world: World) -> None:
    body = b'{"a":"' + b"x" * 5_000 + b'"}'
    assert world.reason(body, apns_push_type="voip", apns_topic="com.example.app.voip") == ""


def test_auth_comes_before_all_else(world: World) -> None:
    assert world.reason(b"", authorization=None, path="/nowhere", apns_id="bad") == "MissingProviderToken"
    assert world.reason(b"", apns_id="bad", path="/nowhere") == "BadMessageId"
    assert world.reason(b"", path="/nowhere") == "BadPath"


def test_the_age_of_a_token(world: World) -> None:
    assert world.reason(token=world.token(age=3_601)) == "ExpiredProviderToken"
    assert world.reason(token=world.token(age=-3_700)) == "InvalidProviderToken"
    assert world.reason(token=world.token(age=3_500)) == ""


def test_a_signature_in_der_is_as_good(world: World) -> None:
    signed, _, signature = world.token().rpartition(".")
    raw = base64url_decode(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    assert world.reason(token=f"{signed}.{base64url_encode(der).decode()}") == ""
    wrong = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]) ^ 1)
    for bad in (wrong, der[:-1], b"", b"0" * 70):
        assert world.reason(token=f"{signed}.{base64url_encode(bad).decode()}") == "InvalidProviderToken"


def test_a_token_of_another_team_or_key(world: World, tmp_path: Path) -> None:
    assert world.reason(token=world.token(iss="OTHERTEAM1")) == "InvalidProviderToken"
    stranger = World(tmp_path / "other")
    assert world.reason(token=stranger.token()) == "InvalidProviderToken"


def test_a_second_key_needs_another_connection(world: World) -> None:
    second = world.apns.add_key()
    assert world.reason() == ""
    assert world.reason(token=world.token(key=second)) == "UnrelatedKeyIdInToken"
    world.session = world.provider.open_session(None)
    assert world.reason(token=world.token(key=second)) == ""


def test_a_key_of_the_wrong_environment(world: World) -> None:
    sandbox = world.apns.add_key(environment="sandbox")
    assert world.reason(token=world.token(key=sandbox)) == "BadEnvironmentKeyInToken"


def test_a_key_scoped_to_topics(world: World) -> None:
    scoped = world.apns.add_key(topics=["com.example.other"])
    assert world.reason(token=world.token(key=scoped)) == "TopicDisallowed"


def test_a_new_token_within_20_minutes_is_one_too_many(world: World) -> None:
    first, second = world.token(age=100), world.token(age=50)
    assert world.reason(token=first) == ""
    assert world.reason(token=second) == "TooManyProviderTokenUpdates"
    assert world.reason(token=first) == ""
    world.clock.advance(20 * 60)
    assert world.reason(token=second) == ""
    assert world.reason(token=first) == ""  # was under way: the one before is still known
    assert world.reason(token=world.token()) == "TooManyProviderTokenUpdates"


def test_another_connection_may_have_another_token(world: World) -> None:
    assert world.reason(token=world.token(age=100)) == ""
    world.session = world.provider.open_session(None)
    assert world.reason(token=world.token(age=50)) == ""


def test_the_rule_can_be_for_each_key(tmp_path: Path) -> None:
    world = World(tmp_path, ApnsSetup(new_token_rule="key"))
    assert world.reason(token=world.token(age=100)) == ""
    world.session = world.provider.open_session(None)
    assert world.reason(token=world.token(age=50)) == "TooManyProviderTokenUpdates"


def test_topics_are_bound_with_the_first_push(tmp_path: Path) -> None:
    world = World(tmp_path, ApnsSetup(topics=frozenset({"com.example.app"})))
    assert world.reason(apns_topic="com.example.new") == "TopicDisallowed"
    world.provider.topics = frozenset({"com.example.app", "com.example.new"})
    assert world.reason(apns_topic="com.example.new") == "TopicDisallowed"
    world.session = world.provider.open_session(None)
    assert world.reason(apns_topic="com.example.new") == ""


def test_the_limit_rises_with_the_first_authenticated_request(world: World) -> None:
    assert world.session.limit == 1
    world.ask(authorization=None)
    assert world.session.limit == 1
    world.ask(b"")
    assert world.session.limit == 1_000


def test_a_certificate_needs_no_token_and_no_topic(world: World) -> None:
    world.session = world.provider.open_session("com.example.app")
    assert world.reason(authorization=None, apns_topic=None) == ""
    assert world.reason(authorization="rubbish", apns_topic="com.example.other") == "TopicDisallowed"
    assert world.reason(apns_push_type="liveactivity", apns_topic=None) == "InvalidPushType"


def test_the_sandbox_adds_a_unique_id(tmp_path: Path) -> None:
    world = World(tmp_path, ApnsSetup(unique_id=True))
    assert b"apns-unique-id" in dict(world.ask().headers)


def test_push_type_can_be_required(tmp_path: Path) -> None:
    assert World(tmp_path / "a").reason(apns_push_type=None) == ""
    assert World(tmp_path / "b", ApnsSetup(push_type_required=True)).reason(apns_push_type=None) == "InvalidPushType"
