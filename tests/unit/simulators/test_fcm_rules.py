"""FCM's verdicts: messages, targets, quotas, tokens, and the shapes of its errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt
import pytest

from stentor.simulators.clock import MovableClock
from stentor.simulators.faults import parse_faults
from stentor.simulators.fcm import FcmSetup, FcmSimulator
from stentor.simulators.fcm.oauth import GOOGLE_TOKEN_URI
from stentor.simulators.fcm.schema import snake
from stentor.simulators.request_headers import Header
from stentor.simulators.world import Judgement

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class World:
    """A simulator that isn't started: its provider can be asked all the same."""

    def __init__(self, directory: Path, options: FcmSetup | None = None, **sections: Any) -> None:
        self.clock = MovableClock(lambda: 1_800_000_000.0)
        faults = parse_faults(sections)
        self.fcm = FcmSimulator(options, directory=directory, clock=self.clock, faults=faults)
        self.provider = self.fcm.fcm
        self.session = self.provider.open_session(None)
        self.account = json.loads(self.fcm.service_account_file.read_bytes())
        self.bearer = f"Bearer {self.access_token()}"

    def post(self, path: str, body: bytes, authorization: str | None = None, method: str = "POST") -> Judgement:
        headers: list[Header] = [(b":method", method.encode()), (b":path", path.encode())]
        if authorization:
            headers.append((b"authorization", authorization.encode()))
        return self.provider.judge(self.session, headers, body)

    def grant(self, *, grant_type: str = GRANT, key: str | None = None, **changes: Any) -> Judgement:
        now = int(self.clock())
        claims = {
            "iss": self.account["client_email"],
            "scope": "https://www.googleapis.com/auth/firebase.messaging",
            "aud": GOOGLE_TOKEN_URI,
            "iat": now,
            "exp": now + 3_600,
            **changes,
        }
        signed = jwt.encode(claims, key or self.account["private_key"], algorithm="RS256")
        return self.post("/token", f"grant_type={grant_type}&assertion={signed}".encode())

    def access_token(self) -> str:
        return str(json.loads(self.grant().body)["access_token"])

    def send(
        self, message: Any, *, project: str = "stentor-rehearsal", request: dict[str, Any] | None = None
    ) -> Judgement:
        body = json.dumps({"message": message, **(request or {})}).encode()
        return self.post(f"/v1/projects/{project}/messages:send", body, self.bearer)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def status(answer: Judgement) -> int:
    return int(answer.headers[0][1])


def error(answer: Judgement) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.body)["error"]
    assert found["code"] == status(answer)
    return found


def code_of(answer: Judgement) -> str | None:
    details = error(answer).get("details", [])
    return next((d["errorCode"] for d in details if d["@type"].endswith("FcmError")), None)


@pytest.mark.parametrize("target", [{"token": "a:b"}, {"fid": "f"}, {"topic": "news"}, {"condition": "'a' in topics"}])
def test_each_kind_of_target(world: World, target: dict[str, str]) -> None:
    answer = world.send({**target, "data": {"a": "b"}})
    assert (status(answer), answer.accepted, answer.address) == (200, True, next(iter(target.values())))
    assert json.loads(answer.body)["name"] == answer.message_id


@pytest.mark.parametrize("target", [{}, {"token": "a", "topic": "b"}, {"token": ""}])
def test_exactly_one_target(world: World, target: dict[str, str]) -> None:
    answer = world.send({**target, "data": {}})
    assert error(answer)["status"] == "INVALID_ARGUMENT"
    assert not answer.accepted


@pytest.mark.parametrize("key", ["collapse_key", "collapseKey"])
def test_both_spellings(world: World, key: str) -> None:
    assert world.send({"token": "t", "android": {key: "k"}}).dedup_id == "k"
    assert snake("androidOptionsV2") == "android_options_v2"


def test_validate_only_delivers_nothing(world: World) -> None:
    for spelling in ("validate_only", "validateOnly"):
        answer = world.send({"token": "t"}, request={spelling: True})
        assert json.loads(answer.body)["name"].endswith("/fake_message_id")
        assert not answer.accepted


BAD_MESSAGES: list[tuple[dict[str, Any], str]] = [
    ({"data": {"a": 1}}, "message.data.a"),
    ({"data": {"from": "x"}}, "message.data.from"),
    ({"data": {"message_type": "x"}}, "message.data.message_type"),
    ({"data": {"google.a": "x"}}, "message.data.google.a"),
    ({"data": {"gcm.notification.a": "x"}}, "message.data.gcm.notification.a"),
    ({"android": {"ttl": 3600}}, "message.android.ttl"),
    ({"android": {"ttl": "1h"}}, "message.android.ttl"),
    ({"android": {"ttl": "2419201s"}}, "message.android.ttl"),
    ({"android": {"priority": "urgent"}}, "message.android.priority"),
    ({"android": {"notification": {"color": "red"}}}, "message.android.notification.color"),
    ({"android": {"notification": {"sticky": "maybe"}}}, "message.android.notification.sticky"),
    ({"android": {"notification": {"body_loc_args": "a"}}}, "message.android.notification.body_loc_args"),
    ({"android": {"notification": {"notification_count": "x"}}}, "message.android.notification.notification_count"),
    ({"android": {"notification": {"vibrate_timings": ["x"]}}}, "message.android.notification.vibrate_timings[0]"),
    ({"apns": {"headers": {"apns-priority": 10}}}, "message.apns.headers.apns-priority"),
    ({"apns": {"payload": "x"}}, "message.apns.payload"),
    ({"webpush": {"headers": []}}, "message.webpush.headers"),
    ({"notification": {"title": 1}}, "message.notification.title"),
    ({"surprise": 1}, "message"),
    ({"collapse_key": "top level"}, "message"),
    ({"android": {"collapseKey": "a", "collapse_key": "a"}}, "message.android"),
    ({"notification": "x"}, "message.notification"),
]


@pytest.mark.parametrize(("message", "field"), BAD_MESSAGES)
def test_bad_fields_are_named(world: World, message: dict[str, Any], field: str) -> None:
    answer = world.send({"token": "t", **message})
    assert status(answer) == 400
    (violation,) = error(answer)["details"][0]["fieldViolations"]
    assert violation["field"] == field


GOOD_MESSAGES: list[dict[str, Any]] = [
    {"android": {"ttl": "0s", "priority": "high"}},
    {"android": {"ttl": "3.5s", "priority": "HIGH", "notification": {"visibility": "PUBLIC", "color": "#aabbcc"}}},
    {"apns": {"headers": {"apns-priority": "10"}, "payload": {"aps": {"badge": 1}}}},
    {
        "webpush": {
            "headers": {"TTL": "60"},
            "notification": {"anything": {"goes": 1}},
            "fcmOptions": {"link": "https://a"},
        }
    },
    {"notification": {"title": "a", "body": None}, "fcm_options": {"analytics_label": "x"}},
]


@pytest.mark.parametrize("message", GOOD_MESSAGES)
def test_good_messages(world: World, message: dict[str, Any]) -> None:
    assert world.send({"token": "t", **message}).accepted


@pytest.mark.parametrize("topic", ["/topics/news", "new s", "näws"])
def test_bad_topics(world: World, topic: str) -> None:
    assert status(world.send({"topic": topic})) == 400


@pytest.mark.parametrize(
    ("condition", "good"),
    [
        ("'a' in topics && ('b' in topics || !('c' in topics))", True),
        ("'a' in topics && ", False),
        ("a in topics", False),
        ("('a' in topics", False),
        (" && ".join(f"'t{n}' in topics" for n in range(5)), True),
        (" && ".join(f"'t{n}' in topics" for n in range(6)), False),
    ],
)
def test_conditions(world: World, condition: str, good: bool) -> None:
    assert world.send({"condition": condition}).accepted is good


def test_size_limits(world: World) -> None:
    assert world.send({"token": "t", "data": {"a": "x" * 4_095}}).accepted
    too_big = world.send({"token": "t", "data": {"a": "x" * 4_096}})
    assert status(too_big) == 400
    assert "fieldViolations" not in too_big.body.decode()
    assert world.send({"topic": "t", "data": {"a": "x" * 2_047}}).accepted
    assert not world.send({"topic": "t", "data": {"a": "x" * 2_048}}).accepted
    assert not world.send({"token": "t", "apns": {"payload": {"aps": {"alert": "x" * 4_096}}}}).accepted


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"message":1}', b"{}", b'{"message":{"token":"\xff"}}'])
def test_bodies_that_are_no_message(world: World, body: bytes) -> None:
    answer = world.post("/v1/projects/stentor-rehearsal/messages:send", body, world.bearer)
    assert error(answer)["status"] == "INVALID_ARGUMENT"


def test_both_kinds_of_401(world: World, tmp_path: Path) -> None:
    path = "/v1/projects/stentor-rehearsal/messages:send"
    for authorization in (None, "Bearer nonsense", "Basic abc"):
        ours = world.post(path, b"{}", authorization)
        assert (status(ours), error(ours)["status"], code_of(ours)) == (401, "UNAUTHENTICATED", None)
    other = World(tmp_path / "b", devices={"third_party_auth": 1.0}).send({"token": "t"})
    assert (status(other), code_of(other)) == (401, "THIRD_PARTY_AUTH_ERROR")


def test_both_kinds_of_403(world: World, tmp_path: Path) -> None:
    mismatch = World(tmp_path / "a", devices={"wrong_app": 1.0}).send({"token": "t"})
    assert (status(mismatch), code_of(mismatch)) == (403, "SENDER_ID_MISMATCH")
    denied = World(tmp_path / "b", credential={"revoke_at_s": 1})
    denied.clock.advance(2)
    answer = denied.send({"token": "t"})
    assert (status(answer), error(answer)["status"], code_of(answer)) == (403, "PERMISSION_DENIED", None)


def test_both_kinds_of_404(world: World, tmp_path: Path) -> None:
    gone = World(tmp_path / "a", devices={"unregistered": 1.0}).send({"token": "t"})
    assert (status(gone), error(gone)["status"], code_of(gone)) == (404, "NOT_FOUND", "UNREGISTERED")
    wrong = world.send({"token": "t"}, project="another")
    assert (status(wrong), code_of(wrong)) == (404, None)


def test_both_kinds_of_429(tmp_path: Path) -> None:
    world = World(tmp_path / "a", FcmSetup(project_per_minute=3))
    answers = [world.send({"token": str(number), "data": {"a": number % 2 * 5 or "b"}}) for number in range(5)]
    assert [status(answer) for answer in answers] == [200, 400, 200, 429, 429]  # a 400 uses up quota, a 429 doesn't
    assert error(answers[3])["details"][0]["reason"] == "RATE_LIMIT_EXCEEDED"
    assert error(answers[3])["details"][0]["metadata"]["quota_limit"] == "SendsPerMinutePerProject"
    assert code_of(answers[3]) is None
    world.clock.advance(60)
    assert world.send({"token": "t"}).accepted

    device = World(tmp_path / "b", FcmSetup(device_per_minute=2, device_per_hour=3))
    codes = [code_of(a) if not (a := device.send({"token": "t"})).accepted else "" for _ in range(3)]
    assert codes == ["", "", "QUOTA_EXCEEDED"]
    assert device.send({"token": "another"}).accepted
    device.clock.advance(60)
    assert [device.send({"token": "t"}).accepted for _ in range(2)] == [True, False]


def test_minutes_are_not_clock_aligned(tmp_path: Path) -> None:
    """The bucket refills at a second that the seed decides."""
    world = World(tmp_path, FcmSetup(project_per_minute=1))
    world.send({"token": "t"})
    waited = 0
    while not world.send({"token": "t"}).accepted:
        world.clock.advance(1)
        waited += 1
    assert 0 < waited < 60


def test_storms_have_the_shape_of_their_scope(tmp_path: Path) -> None:
    storm = {"for_s": 10, "retry_after": ["30"]}
    answer = World(tmp_path / "a", storm=storm).send({"token": "t"})
    assert (status(answer), code_of(answer)) == (429, None)
    assert (b"retry-after", b"30") in answer.headers
    answer = World(tmp_path / "b", storm={**storm, "scope": "token", "retry_after": []}).send({"token": "t"})
    assert (status(answer), code_of(answer)) == (429, "QUOTA_EXCEEDED")
    assert b"retry-after" not in dict(answer.headers)


@pytest.mark.parametrize(("wanted", "name"), [(500, "INTERNAL"), (503, "UNAVAILABLE")])
def test_unavailable_at_quarter_hours(tmp_path: Path, wanted: int, name: str) -> None:
    world = World(tmp_path, unavailable={"at_s": 900, "for_s": 5, "every_s": 900, "status": wanted})
    assert world.send({"topic": "t"}).accepted
    world.clock.advance(901)
    answer = world.send({"topic": "t"})
    assert (status(answer), error(answer)["status"]) == (wanted, name)


def test_a_malformed_token_is_told_from_a_bad_message(tmp_path: Path) -> None:
    for world, token in ((World(tmp_path / "a"), "a b"), (World(tmp_path / "b", devices={"malformed": 1.0}), "t")):
        answer = world.send({"token": token})
        assert code_of(answer) == "INVALID_ARGUMENT"
        assert error(answer)["details"][1]["fieldViolations"][0]["field"] == "message.token"


@pytest.mark.parametrize(
    ("form", "wanted", "body"),
    [("html502", 502, b"<!DOCTYPE"), ("empty", 500, b""), ("truncated", 404, b'{"error"'), ("missing_id", 200, b"{}")],
)
def test_malformed_answers(world: World, form: Any, wanted: int, body: bytes) -> None:
    answer = world.provider.malform(form, world.send({"token": "t"}))
    assert status(answer) == wanted
    assert answer.body.startswith(body)
    assert answer.accepted == (form == "missing_id")


def test_an_unknown_error_code(world: World) -> None:
    assert code_of(world.provider.malform("unknown_reason", world.send({"token": "t"}))) == "NEVER_HEARD_OF_THIS"


def test_access_tokens_expire(tmp_path: Path) -> None:
    world = World(tmp_path, FcmSetup(access_token_lifetime_s=100))
    assert world.send({"token": "t"}).accepted
    world.clock.advance(101)
    assert status(world.send({"token": "t"})) == 401
    world.bearer = f"Bearer {world.access_token()}"
    assert world.send({"token": "t"}).accepted


def test_access_tokens_can_expire_in_the_midst_of_a_campaign(tmp_path: Path) -> None:
    world = World(tmp_path, credential={"expire_at_s": 180})
    assert world.send({"token": "t"}).accepted
    world.clock.advance(181)
    assert status(world.send({"token": "t"})) == 401
    world.bearer = f"Bearer {world.access_token()}"
    assert world.send({"token": "t"}).accepted


TOKEN_PROBLEMS: list[tuple[dict[str, Any], str]] = [
    ({"grant_type": "password"}, "unsupported_grant_type"),
    ({"iss": "stranger@example.com"}, "invalid_grant"),
    ({"aud": "https://example.com"}, "invalid_grant"),
    ({"scope": "email"}, "invalid_scope"),
    ({"iat": 1_800_000_000 - 7_200, "exp": 1_800_000_000 - 3_600}, "invalid_grant"),
    ({"iat": 1_800_000_000 + 301}, "invalid_grant"),
    ({"exp": 1_800_000_000 + 3_601}, "invalid_grant"),
    ({"iat": "now"}, "invalid_grant"),
]


@pytest.mark.parametrize(("changes", "name"), TOKEN_PROBLEMS)
def test_the_token_endpoint_has_its_own_errors(world: World, changes: dict[str, Any], name: str) -> None:
    answer = world.grant(**changes)
    assert status(answer) == 400
    assert set(json.loads(answer.body)) == {"error", "error_description"}
    assert json.loads(answer.body)["error"] == name


def test_a_clock_300_seconds_ahead_is_forgiven(world: World) -> None:
    assert status(world.grant(iat=1_800_000_300, exp=1_800_003_900)) == 200


def test_a_foreign_signature(world: World, tmp_path: Path) -> None:
    stranger = World(tmp_path / "other")
    answer = world.grant(key=stranger.account["private_key"])
    assert json.loads(answer.body)["error_description"] == "Invalid JWT Signature."
    assert b"invalid_grant" in world.post("/token", f"grant_type={GRANT}&assertion=x".encode()).body


def test_a_skewed_server_refuses_assertions(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.fcm.faults = parse_faults({"credential": {"clock_skew_s": -600}})
    assert status(world.grant()) == 400


def test_a_given_account_is_known(world: World, tmp_path: Path) -> None:
    second = FcmSimulator(directory=tmp_path / "b", account_file=world.fcm.service_account_file)
    assert second.project == "stentor-rehearsal"
    assert second.fcm.account.email == world.account["client_email"]
