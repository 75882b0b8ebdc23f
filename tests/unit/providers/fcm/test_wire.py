"""FCM on the wire: bodies and addresses; and what each answer asks for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.errors import InvalidConfiguration
from stentor.http2.burst import Results
from stentor.model import FcmOptions, FcmTarget, Message
from stentor.outcome import Scope, Verdict
from stentor.providers.contract import Answer
from stentor.providers.fcm import reasons, wire
from stentor.providers.fcm.checks import is_condition

NOW = 1_800_000_000.0
TOKENS = [b"fXy-abc_def:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx", b"dQw4w9WgXcQabcdefghijk", b"a"]
TEMPLATE = wire.template(project="my-proj", authority=wire.AUTHORITY, authorization=b"Bearer ya29.x")


def render(target: FcmTarget = FcmTarget.TOKEN, **options: Any) -> wire.Rendered:
    return wire.render(Message(title="Grüße", fcm=FcmOptions(target=target, **options)), started_at=NOW)


# Encoding


@pytest.mark.parametrize(("later", "left"), [(-50.0, 3600), (0.0, 3600), (59.9, 3541), (3599.0, 1), (9000.0, 0)])
def test_a_lifetime_counts_from_the_start_at_late_tries_too(later: float, left: int) -> None:
    options = FcmOptions(webpush={"headers": {"TTL": "7200"}})
    parts = wire.render(Message(title="ttl", data={"ttl": "3600s"}, ttl=3600, fcm=options), started_at=NOW)
    message = json.loads(wire.encode(TEMPLATE, parts, TOKENS, NOW + later).burst.bodies[0])["message"]
    assert message["android"]["ttl"] == f"{left}s"
    assert message["webpush"]["headers"]["TTL"] == str(left + 3600 if left else max(0, 7200 - int(later)))
    assert message["data"] == {"ttl": "3600s"}
    assert int(message.get("apns", {}).get("headers", {}).get("apns-expiration", NOW + 3600)) == NOW + 3600


def test_what_is_written_as_it_goes_over_the_wire_keeps_its_lifetime() -> None:
    raw = {"android": {"ttl": "60s"}, "notification": {"title": "t"}}
    for options in (FcmOptions(raw_message=raw), FcmOptions(android={"ttl": "60.5s"})):
        parts = wire.render(Message(title="t", fcm=options), started_at=NOW)
        message = json.loads(wire.encode(TEMPLATE, parts, TOKENS, NOW + 30).burst.bodies[0])["message"]
        assert message["android"]["ttl"] in ("60s", "60.5s")


def test_the_template() -> None:
    assert TEMPLATE.varying == ()
    assert TEMPLATE.constant == (
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", b"fcm.googleapis.com"),
        (b":path", b"/v1/projects/my-proj/messages:send"),
        (b"authorization", b"Bearer ya29.x"),
        (b"content-type", b"application/json"),
    )


def test_a_persons_credential_names_the_project_that_pays() -> None:
    template = wire.template(project="p", authority="x", authorization=b"", quota_project="payer")
    assert template.constant[-1] == (b"x-goog-user-project", b"payer")


@pytest.mark.parametrize("project", ["", "a b", "a/b", "a\r\nb", "../x"])
def test_a_project_id_cannot_change_the_path(project: str) -> None:
    with pytest.raises(InvalidConfiguration):
        wire.template(project=project, authority="x", authorization=b"")
    with pytest.raises(InvalidConfiguration):
        wire.template(project="p", authority="x", authorization=b"", quota_project=project or " ")


@pytest.mark.parametrize("target", [FcmTarget.TOKEN, FcmTarget.FID])
def test_a_burst(target: FcmTarget) -> None:
    encoded = wire.encode(TEMPLATE, render(target), TOKENS, NOW)
    assert encoded.burst.columns == ()
    assert list(encoded.positions) == [0, 1, 2]
    assert [json.loads(body) for body in encoded.burst.bodies] == [
        {"message": {target.value: token.decode(), "notification": {"title": "Grüße"}}} for token in TOKENS
    ]


def test_validate_only() -> None:
    encoded = wire.encode(TEMPLATE, render(validate_only=True), TOKENS[:1], NOW)
    assert json.loads(encoded.burst.bodies[0]) == {
        "validate_only": True,
        "message": {"token": TOKENS[0].decode(), "notification": {"title": "Grüße"}},
    }


@pytest.mark.parametrize(
    ("target", "good", "bad"),
    [
        (FcmTarget.TOKEN, b"abc:DEF_-.", [b"", b'a"b', b"a\\b", b"a b", b"a\nb", b"a\x00", b"\xc3\xa9", b"x" * 4097]),
        (FcmTarget.FID, b"abc_-", [b"", b'","topic":"all', b"a\x7f"]),
        (FcmTarget.TOPIC, b"news-_.~%1", [b"", b"/topics/news", b"a b", b"a&b", b"x" * 901]),
        (
            FcmTarget.CONDITION,
            b"'a' in topics && ('b' in topics || !('c' in topics))",
            [b"", b"'a' in topics &&", b'"a" in topics', b"'a' in topics & 'b' in topics", b"a\xff"],
        ),
    ],
)
def test_a_malformed_address_is_rejected_and_the_rest_sent(target: FcmTarget, good: bytes, bad: list[bytes]) -> None:
    encoded = wire.encode(TEMPLATE, render(target), [good, *bad, good], NOW)
    last = len(bad) + 1
    assert list(encoded.positions) == [0, last]
    assert [json.loads(body)["message"][target.value] for body in encoded.burst.bodies] == [good.decode()] * 2
    assert list(encoded.rejected) == list(range(1, last))
    assert {answer.verdict for answer in encoded.rejected.values()} == {Verdict.REJECT}


@given(st.lists(st.binary(max_size=12), max_size=6), st.sampled_from(FcmTarget))
def test_no_address_changes_the_message(addresses: list[bytes], target: FcmTarget) -> None:
    encoded = wire.encode(TEMPLATE, render(target), addresses, NOW)
    for position, body in zip(encoded.positions, encoded.burst.bodies, strict=True):
        found = json.loads(body)["message"]
        assert found == {target.value: addresses[position].decode(), "notification": {"title": "Grüße"}}
    assert len(encoded.positions) + len(encoded.rejected) == len(addresses)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("'a' in topics", True),
        ("!('a' in topics)", True),
        ("!'a' in topics", True),
        ("'a'in topics&&'b' in topics", True),
        (" && ".join(f"'t{i}' in topics" for i in range(5)), True),
        (" && ".join(f"'t{i}' in topics" for i in range(6)), False),
        ("'a' in topics 'b' in topics", False),
        ("('a' in topics", False),
        ("'a b' in topics", False),
        ("'a' in topic", False),
        ("()", False),
        ("", False),
        ("#", False),
    ],
)
def test_conditions(text: str, good: bool) -> None:
    assert is_condition(text) is good


# Answers


def error(status: str = "", message: str = "", *details: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"error": {"status": status, "message": message, "details": list(details), **more}}).encode()


def fcm_error(code: str) -> dict[str, str]:
    return {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}


def bad_request(*fields: str) -> dict[str, Any]:
    violations = [{"field": field, "description": "wrong"} for field in fields]
    return {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}


def quota(subject: str, description: str = "") -> dict[str, Any]:
    violations = [{"subject": subject, "description": description}]
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations}


def info(reason: str) -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"quota_limit": "SendsPerMinutePerProject"},
    }


def decode(status: int, body: bytes, *headers: tuple[bytes, bytes]) -> Answer:
    return wire.decode(status, headers, body, NOW)


BAD_TOKEN = "The registration token is not a valid FCM registration token"
INVALID = "INVALID_ARGUMENT"
KNOWN: list[tuple[int, bytes, str, Verdict, Scope]] = [
    (400, error(INVALID, BAD_TOKEN, fcm_error(INVALID)), "INVALID_ARGUMENT:token", Verdict.DROP, Scope.ADDRESS),
    (
        400,
        error(INVALID, "Request contains an invalid argument.", fcm_error(INVALID), bad_request("message.token")),
        "INVALID_ARGUMENT:token",
        Verdict.DROP,
        Scope.ADDRESS,
    ),
    (400, error(INVALID, "x", bad_request("message.token")), "INVALID_ARGUMENT:token", Verdict.DROP, Scope.ADDRESS),
    (400, error(INVALID, BAD_TOKEN), INVALID, Verdict.FIX, Scope.MESSAGE),
    (400, error(INVALID, "x", bad_request("message.token", "message.data[0]")), INVALID, Verdict.FIX, Scope.MESSAGE),
    (
        400,
        error(INVALID, BAD_TOKEN, fcm_error(INVALID), bad_request("message.android.ttl")),
        INVALID,
        Verdict.FIX,
        Scope.MESSAGE,
    ),
    (400, error(INVALID, "Message too big"), INVALID, Verdict.FIX, Scope.MESSAGE),
    (400, error(INVALID, "Message too big", fcm_error(INVALID)), INVALID, Verdict.FIX, Scope.MESSAGE),
    (401, error("UNAUTHENTICATED"), "UNAUTHENTICATED", Verdict.REFRESH, Scope.CREDENTIAL),
    (
        401,
        error("UNAUTHENTICATED", "", info("ACCESS_TOKEN_EXPIRED")),
        "ACCESS_TOKEN_EXPIRED",
        Verdict.REFRESH,
        Scope.CREDENTIAL,
    ),
    (401, b"", "UNAUTHENTICATED", Verdict.REFRESH, Scope.CREDENTIAL),
    (
        401,
        error("UNAUTHENTICATED", "Auth error from APNS", fcm_error("THIRD_PARTY_AUTH_ERROR")),
        "THIRD_PARTY_AUTH_ERROR",
        Verdict.STOP,
        Scope.PLATFORM,
    ),
    (401, error("UNAUTHENTICATED", "", fcm_error("APNS_AUTH_ERROR")), "APNS_AUTH_ERROR", Verdict.STOP, Scope.PLATFORM),
    (
        403,
        error("PERMISSION_DENIED", "", fcm_error("SENDER_ID_MISMATCH")),
        "SENDER_ID_MISMATCH",
        Verdict.DROP,
        Scope.ADDRESS,
    ),
    (403, error("PERMISSION_DENIED", "", info("SERVICE_DISABLED")), "PERMISSION_DENIED", Verdict.STOP, Scope.LANE),
    (404, error("NOT_FOUND", "", fcm_error("UNREGISTERED")), "UNREGISTERED", Verdict.DROP, Scope.ADDRESS),
    (404, error("NOT_FOUND", "Requested entity was not found."), "NOT_FOUND", Verdict.STOP, Scope.LANE),
    (404, error("SOMETHING"), "NOT_FOUND", Verdict.STOP, Scope.LANE),
    (404, b"<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>", "NOT_FOUND", Verdict.STOP, Scope.LANE),
    (429, error("RESOURCE_EXHAUSTED", "", fcm_error("QUOTA_EXCEEDED")), "QUOTA_EXCEEDED", Verdict.RETRY, Scope.LANE),
    (
        429,
        error("RESOURCE_EXHAUSTED", "", fcm_error("QUOTA_EXCEEDED"), quota("project:1", "Message rate exceeded")),
        "QUOTA_EXCEEDED",
        Verdict.RETRY,
        Scope.LANE,
    ),
    (
        429,
        error("RESOURCE_EXHAUSTED", "", fcm_error("QUOTA_EXCEEDED"), quota("x", "Device message rate exceeded")),
        "QUOTA_EXCEEDED:device",
        Verdict.RETRY,
        Scope.ADDRESS,
    ),
    (
        429,
        error("RESOURCE_EXHAUSTED", "", quota("topic:news"), info("QUOTA_EXCEEDED")),
        "QUOTA_EXCEEDED:topic",
        Verdict.RETRY,
        Scope.ADDRESS,
    ),
    (
        429,
        error("RESOURCE_EXHAUSTED", "", info("RATE_LIMIT_EXCEEDED")),
        "RATE_LIMIT_EXCEEDED",
        Verdict.RETRY,
        Scope.LANE,
    ),
    (429, error("RESOURCE_EXHAUSTED"), "RESOURCE_EXHAUSTED", Verdict.RETRY, Scope.LANE),
    (429, b"slow down", "RESOURCE_EXHAUSTED", Verdict.RETRY, Scope.LANE),
    (500, error("INTERNAL", "", fcm_error("INTERNAL")), "INTERNAL", Verdict.RETRY, Scope.ADDRESS),
    (500, b"", "INTERNAL", Verdict.RETRY, Scope.ADDRESS),
    (502, b"<html>502</html>", "BAD_GATEWAY", Verdict.RETRY, Scope.ADDRESS),
    (503, error("UNAVAILABLE", "", fcm_error("UNAVAILABLE")), "UNAVAILABLE", Verdict.RETRY, Scope.LANE),
    (503, b"<html>503</html>", "UNAVAILABLE", Verdict.RETRY, Scope.LANE),
    (504, b"", "DEADLINE_EXCEEDED", Verdict.RETRY, Scope.ADDRESS),
]


@pytest.mark.parametrize(("status", "body", "reason", "verdict", "scope"), KNOWN)
def test_each_answer_has_its_verdict(status: int, body: bytes, reason: str, verdict: Verdict, scope: Scope) -> None:
    answer = decode(status, body)
    assert (answer.reason, answer.verdict, answer.scope, answer.status) == (reason, verdict, scope, status)
    assert answer.known


def test_each_rule_has_an_example() -> None:
    assert {(rule.status, rule.reason) for rule in reasons.TABLE} == {
        (status, reason) for status, _, reason, _, _ in KNOWN
    }


def test_a_200_is_accepted() -> None:
    assert decode(200, b'{"name":"projects/p/messages/1"}').verdict is Verdict.ACCEPT


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (b"", Verdict.AMBIGUOUS),
        (b"{}", Verdict.AMBIGUOUS),
        (b'{"name":7}', Verdict.AMBIGUOUS),
        (b'\n<html><script>x = {"name": 1}</script>', Verdict.RECONNECT),
    ],
)
def test_a_200_that_isnt_fcms_is_no_acceptance(body: bytes, verdict: Verdict) -> None:
    answer = decode(200, body)
    assert (answer.verdict, answer.reason, answer.status, answer.known) == (verdict, "unreadable", 200, False)
    assert "name" in answer.detail


def test_which_200s_are_no_acceptances() -> None:
    assert TEMPLATE.opening == b'{\n  "name": "projects/'
    results = Results(4)
    results.bodies.update({1: b'{"name":"projects/p/messages/3"}', 2: b"<html>", 3: b""})
    assert list(wire.doubts(results)) == [2, 3]


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ((), 60.0),
        (((b"retry-after", b"7"),), 7.0),
        (((b"retry-after", b"Fri, 15 Jan 2027 08:02:00 GMT"),), 120.0),
        (((b"retry-after", b"86400"),), 3600.0),
        (((b"retry-after", b"never"),), 60.0),
    ],
)
def test_the_wait_after_a_429(headers: tuple[tuple[bytes, bytes], ...], wait: float) -> None:
    assert decode(429, error("RESOURCE_EXHAUSTED"), *headers).retry_after == wait
    assert decode(429, b"", *headers).retry_after == wait


def test_the_explanation_is_kept_without_the_token() -> None:
    body = error(INVALID, f"Invalid value at 'message.token', \"{TOKENS[0].decode()}\"")
    assert decode(400, body).detail == "Invalid value at 'message.token', \"…\""


def test_a_whole_list_of_another_project_is_suspicious() -> None:
    assert decode(403, error("PERMISSION_DENIED", "", fcm_error("SENDER_ID_MISMATCH"))).stop_if_all


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b""),
        (404, error("NOT_FOUND", "", fcm_error("UNREGISTERED"))[:-20]),
        (404, error("NOT_FOUND", "", fcm_error("SOMETHING_NEW"))),
        (400, error("NOT_FOUND", "", fcm_error("UNREGISTERED"))),
        (400, b"<html>Bad Request</html>"),
        (400, b'{"error":"invalid_grant"}'),
        (400, error("FAILED_PRECONDITION")),
        (400, error("X", "", fcm_error("UNSPECIFIED_ERROR"))),
        (403, b"<html>Forbidden by the proxy</html>"),
        (400, json.dumps({"error": {"status": ["x"], "details": "x"}}).encode()),
        (400, json.dumps({"error": {"details": [None, 5, {"errorCode": 5, "fieldViolations": 7}]}}).encode()),
        (302, b""),
    ],
)
def test_the_malformed_and_the_unknown_are_sent_again(status: int, body: bytes) -> None:
    answer = decode(status, body, (b"retry-after", b"3"))
    assert (answer.verdict, answer.known, answer.retry_after) == (Verdict.RETRY, False, 3.0)
    assert answer.reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["UNREGISTERED", INVALID, "message.token", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "details", "errorCode", "status", "reason", "fieldViolations", "field", "violations"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.integers(100, 599), st.binary(max_size=100))
def test_any_bytes_have_an_answer_and_drop_nobody(status: int, body: bytes) -> None:
    answer = decode(status, body)
    if answer.verdict in (Verdict.DROP, Verdict.FIX):
        assert (status, answer.reason) in reasons.RULES


@given(st.integers(201, 599), JSON.map(lambda value: json.dumps({"error": value}).encode()))
def test_any_json_has_an_answer_and_only_exact_pairs_drop(status: int, body: bytes) -> None:
    answer = decode(status, body)
    if answer.verdict is Verdict.DROP:
        assert reasons.RULES[status, answer.reason].verdict is Verdict.DROP


# GOAWAY and names


@pytest.mark.parametrize(
    "debug", [b"session_timed_out", b"exceeded_max_concurrent_streams", b"too_many_pings", b"\xff"]
)
def test_every_goaway_asks_for_another_connection(debug: bytes) -> None:
    answer = wire.decode_goaway(debug)
    assert answer is not None
    assert (answer.verdict, answer.scope) == (Verdict.RECONNECT, Scope.CONNECTION)


def test_a_goaway_that_says_nothing() -> None:
    assert wire.decode_goaway(b"") is None


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{\n  "name": "projects/p/messages/0:16%31bd"\n}\n', "projects/p/messages/0:16%31bd"),
        (b'{"name":"projects/p/messages/1"}', "projects/p/messages/1"),
        (b'{"other":1,"name":"projects/p/messages/2"}', "projects/p/messages/2"),
        (b'{"name":"a\\u0062"}', "ab"),
        (b'{"name":5}', ""),
        (b'{"name":"trunc', ""),
        (b"", ""),
    ],
)
def test_the_name_of_an_accepted_message(body: bytes, name: str) -> None:
    assert wire.message_name(body) == name


@given(st.binary(max_size=60))
def test_any_body_has_a_name_or_none(body: bytes) -> None:
    assert isinstance(wire.message_name(body), str)
