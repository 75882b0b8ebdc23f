"""APNs on the wire: headers, paths, ids; and what each answer asks for."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.errors import InvalidMessage
from stentor.model import ActivityEvent, ApnsOptions, LiveActivity, Message, Priority, PushType
from stentor.outcome import Scope, Verdict
from stentor.providers.apns import reasons, wire
from stentor.providers.contract import Answer

TOPIC = "com.example.app"
START = 1_800_000_000.5
TOKENS = [b"00fc13ad" * 8, b"AB" * 80, b"0f"]
IDS = wire.push_ids("campaign", [b"1", b"2", b"3"])


def render(message: Message, collapse_id: str = "") -> wire.Rendered:
    return wire.render(message, topic=TOPIC, started_at=START, collapse_id=collapse_id)


def headers(message: Message, collapse_id: str = "") -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in render(message, collapse_id).headers}


def apns(**options: Any) -> Message:
    return Message(title="t", data={"mdm": "x"}, apns=ApnsOptions(**options))


def live(**options: Any) -> Message:
    return Message(apns=ApnsOptions(live_activity=LiveActivity(event=ActivityEvent.END), **options))


# Rendering


def test_the_headers_of_an_alert() -> None:
    assert headers(Message(title="t")) == {
        "apns-topic": "com.example.app",
        "apns-push-type": "alert",
        "apns-priority": "10",
    }


@pytest.mark.parametrize(
    ("kind", "topic"),
    [
        (PushType.ALERT, "com.example.app"),
        (PushType.COMPLICATION, "com.example.app.complication"),
        (PushType.CONTROLS, "com.example.app.push-type.controls"),
        (PushType.FILEPROVIDER, "com.example.app.pushkit.fileprovider"),
        (PushType.LOCATION, "com.example.app.location-query"),
        (PushType.MDM, "com.example.app"),
        (PushType.PUSHTOTALK, "com.example.app.voip-ptt"),
        (PushType.VOIP, "com.example.app.voip"),
        (PushType.WIDGETS, "com.example.app.push-type.widgets"),
    ],
)
def test_each_push_type_has_its_topic(kind: PushType, topic: str) -> None:
    found = headers(apns(push_type=kind))
    assert (found["apns-topic"], found["apns-push-type"]) == (topic, kind.value)


def test_the_topics_of_silent_messages_and_live_activities() -> None:
    assert headers(Message(silent=True))["apns-topic"] == "com.example.app"
    assert headers(live())["apns-topic"] == "com.example.app.push-type.liveactivity"


def test_a_topic_of_ones_own() -> None:
    assert headers(apns(topic="org.other"))["apns-topic"] == "org.other"
    assert headers(apns(topic="org.other", push_type=PushType.VOIP))["apns-topic"] == "org.other.voip"
    assert headers(apns(topic="org.other.voip", push_type=PushType.VOIP))["apns-topic"] == "org.other.voip"


@pytest.mark.parametrize(
    ("message", "priority"),
    [
        (Message(title="t"), "10"),
        (Message(title="t", priority=Priority.HIGH), "10"),
        (Message(title="t", priority=Priority.NORMAL), "5"),
        (Message(title="t", priority=Priority.LOW), "1"),
        (Message(title="t", priority=Priority.LOW, apns=ApnsOptions(priority=5)), "5"),
        (Message(silent=True), "5"),
        (Message(silent=True, priority=Priority.HIGH), "5"),
        (Message(silent=True, apns=ApnsOptions(priority=5)), "5"),
    ],
)
def test_the_priority(message: Message, priority: str) -> None:
    assert headers(message)["apns-priority"] == priority


@pytest.mark.parametrize(
    ("message", "expiration"),
    [
        (Message(title="t"), None),
        (Message(title="t", ttl=0), "0"),
        (Message(title="t", ttl=3600), "1800003600"),
        (Message(title="t", ttl=3600, apns=ApnsOptions(expiration=0)), "0"),
        (Message(title="t", apns=ApnsOptions(expiration=1_900_000_000)), "1900000000"),
    ],
)
def test_the_expiration(message: Message, expiration: str | None) -> None:
    assert headers(message).get("apns-expiration") == expiration


@pytest.mark.parametrize(
    ("message", "collapse_id"),
    [
        (Message(title="t"), "campaign-7"),
        (Message(silent=True), "campaign-7"),
        (Message(title="t", collapse_key="news"), "news"),
        (Message(title="t", collapse_key="news", apns=ApnsOptions(collapse_id="é" * 32)), "é" * 32),
        (apns(push_type=PushType.VOIP), None),
        (live(), None),
        (live(collapse_id="match"), "match"),
    ],
)
def test_the_collapse_id(message: Message, collapse_id: str | None) -> None:
    assert headers(message, "campaign-7").get("apns-collapse-id") == collapse_id


def test_a_campaign_id_of_64_bytes_is_used_as_it_is() -> None:
    assert headers(Message(title="t"), "c" * 64)["apns-collapse-id"] == "c" * 64


def test_a_long_campaign_id_still_collapses() -> None:
    first, second = (headers(Message(title="t"), "c" * 70 + end)["apns-collapse-id"] for end in "ab")
    assert len(first) <= 64
    assert first != second


WRONG: list[tuple[str, Message]] = [
    ("badge", Message(title="t", badge=-1)),
    ("apns.topic", apns(topic="com.example\r\nx: y")),
    ("apns.topic", apns(topic="com example")),
    ("apns.topic", apns(topic="com.example.voip")),
    ("apns.topic", apns(topic="com.example.push-type.widgets", push_type=PushType.VOIP)),
    ("apns.priority", apns(priority=7)),
    ("apns.priority", apns(priority=True)),
    ("apns.priority", Message(silent=True, apns=ApnsOptions(priority=10))),
    ("apns.priority", Message(silent=True, apns=ApnsOptions(priority=1))),
    ("apns.expiration", apns(expiration=-1)),
    ("apns.expiration", apns(expiration=1.5)),
    ("apns.expiration", apns(expiration=1_800_000_000_000)),
    ("ttl", Message(title="t", ttl=10**12)),
    ("apns.collapse_id", apns(collapse_id="x" * 65)),
    ("apns.collapse_id", apns(collapse_id="é" * 33)),
    ("apns.collapse_id", apns(collapse_id="a\nb")),
    ("collapse_key", Message(title="t", collapse_key="x" * 65)),
    ("collapse_key", Message(title="t", collapse_key="a\x00b")),
    ("apns.payload", Message(title="t" * 5000)),
]


@pytest.mark.parametrize(("field", "message"), WRONG)
def test_a_broken_rule_names_its_field(field: str, message: Message) -> None:
    with pytest.raises(InvalidMessage) as raised:
        render(message)
    assert raised.value.field == field


def test_without_a_topic_nothing_is_sent() -> None:
    with pytest.raises(InvalidMessage) as raised:
        wire.render(Message(title="t"), topic="", started_at=START)
    assert raised.value.field == "apns.topic"


# Encoding


def test_a_burst() -> None:
    rendered = render(Message(title="t"))
    template = wire.template(rendered, authority=wire.AUTHORITY, authorization=b"bearer x.y.z")
    assert template.constant == (
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", b"api.push.apple.com"),
        (b"authorization", b"bearer x.y.z"),
        (b"apns-topic", b"com.example.app"),
        (b"apns-push-type", b"alert"),
        (b"apns-priority", b"10"),
    )
    encoded = wire.encode(template, rendered, TOKENS, IDS)
    assert encoded.rejected == {}
    assert list(encoded.positions) == [0, 1, 2]
    assert encoded.burst.template is template
    assert dict(zip(template.varying, encoded.burst.columns, strict=True)) == {
        b":path": [b"/3/device/" + token for token in TOKENS],
        b"apns-id": IDS,
    }
    assert [json.loads(body) for body in encoded.burst.bodies] == [{"aps": {"alert": {"title": "t"}}}] * 3
    assert len({id(body) for body in encoded.burst.bodies}) == 1, "one body, shared"


def test_with_a_certificate_there_is_no_authorization() -> None:
    template = wire.template(render(Message(title="t")), authority=wire.SANDBOX_AUTHORITY, authorization=None)
    assert b"authorization" not in dict(template.constant)


@pytest.mark.parametrize(
    "bad", [b"00fc 13ad", b"00fc/13ad", b"xyz", b"00\r\n", b"00\x00", b"00?x=1", "0é".encode(), b"0" * 1025]
)
def test_a_malformed_token_is_rejected_and_the_rest_sent(bad: bytes) -> None:
    rendered = render(Message(title="t"))
    template = wire.template(rendered, authority=wire.AUTHORITY, authorization=None)
    encoded = wire.encode(template, rendered, [TOKENS[0], bad, TOKENS[2]], IDS)
    assert encoded.burst.columns == ([b"/3/device/" + TOKENS[0], b"/3/device/" + TOKENS[2]], [IDS[0], IDS[2]])
    assert list(encoded.positions) == [0, 2]
    assert {i: (a.verdict, a.reason) for i, a in encoded.rejected.items()} == {1: (Verdict.REJECT, "MalformedAddress")}


def test_who_has_no_address_is_told_apart() -> None:
    rendered = render(Message(title="t"))
    template = wire.template(rendered, authority=wire.AUTHORITY, authorization=None)
    encoded = wire.encode(template, rendered, [TOKENS[0], b"", b"xyz"], IDS)
    assert {i: (a.verdict, a.reason) for i, a in encoded.rejected.items()} == {
        1: (Verdict.REJECT, "NoAddress"),
        2: (Verdict.REJECT, "MalformedAddress"),
    }


def test_an_empty_batch() -> None:
    rendered = render(Message(title="t"))
    template = wire.template(rendered, authority=wire.AUTHORITY, authorization=None)
    assert len(wire.encode(template, rendered, [], wire.push_ids("c", [])).burst) == 0


@given(st.text(max_size=8), st.lists(st.binary(max_size=40), max_size=20, unique=True))
def test_push_ids_are_distinct_lower_case_uuids(campaign: str, recipients: list[bytes]) -> None:
    ids = wire.push_ids(campaign, recipients)
    assert len(set(ids)) == len(recipients)
    for each in ids:
        assert str(uuid.UUID(each.decode())).encode() == each
        assert uuid.UUID(each.decode()).version == 4
        assert uuid.UUID(each.decode()).variant == uuid.RFC_4122


def test_push_ids_depend_on_campaign_and_recipient_alone() -> None:
    assert wire.push_ids("c", [b"1", b"2"])[1] == wire.push_ids("c", [b"2"])[0]
    assert wire.push_ids("c", [b"1"]) != wire.push_ids("d", [b"1"])
    assert wire.push_ids("a", [b"b1"]) != wire.push_ids("ab", [b"1"])
    # On the wire since the first release: after an upgrade in mid-campaign the second one must still match the first.
    assert wire.push_ids("c", [b"1"]) == [b"563c789b-441f-4d5b-8744-55ab99b43b08"]


# Answers


def decode(status: int, body: bytes, *extra: tuple[bytes, bytes]) -> Answer:
    return wire.decode(status, extra, body, START)


def test_a_200_is_accepted() -> None:
    assert decode(200, b"", (b"apns-id", b"x")).verdict is Verdict.ACCEPT


@pytest.mark.parametrize(
    ("body", "verdict"),
    [(b"", Verdict.AMBIGUOUS), (b"{}", Verdict.AMBIGUOUS), (b" <!DOCTYPE html><p>Blocked", Verdict.RECONNECT)],
)
def test_a_200_that_isnt_apples_is_no_acceptance(body: bytes, verdict: Verdict) -> None:
    answer = decode(200, body, (b"server", b"squid"))
    assert (answer.verdict, answer.reason, answer.status, answer.known) == (verdict, "unreadable", 200, False)
    assert "apns-id" in answer.detail


EXPECTED = {
    Verdict.DROP: {
        (400, "BadDeviceToken"),
        (400, "DeviceTokenNotForTopic"),
        (410, "Unregistered"),
        (410, "ExpiredToken"),
    },
    Verdict.FIX: {
        *((400, reason) for reason in ("BadCollapseId", "BadExpirationDate", "BadMessageId", "BadPriority")),
        *((400, reason) for reason in ("InvalidPushType", "DuplicateHeaders", "MissingDeviceToken", "PayloadEmpty")),
        *((404, "BadPath"), (405, "MethodNotAllowed"), (413, "PayloadTooLarge")),
    },
    Verdict.STOP: {
        *((400, "BadTopic"), (400, "MissingTopic"), (400, "TopicDisallowed")),
        *((403, reason) for reason in ("InvalidProviderToken", "MissingProviderToken", "Forbidden", "BadCertificate")),
        *((403, "BadCertificateEnvironment"), (403, "BadEnvironmentKeyIdInToken"), (403, "BadEnvironmentKeyInToken")),
    },
    Verdict.REFRESH: {(403, "ExpiredProviderToken")},
    Verdict.RECONNECT: {(400, "IdleTimeout"), (403, "UnrelatedKeyIdInToken"), (503, "Shutdown")},
    Verdict.RETRY: {
        *((429, "TooManyRequests"), (429, "TooManyProviderTokenUpdates")),
        *((500, "InternalServerError"), (503, "ServiceUnavailable")),
    },
}


@pytest.mark.parametrize(
    ("status", "reason", "verdict"), [(*key, verdict) for verdict, keys in EXPECTED.items() for key in sorted(keys)]
)
def test_each_reason_has_its_verdict(status: int, reason: str, verdict: Verdict) -> None:
    answer = decode(status, json.dumps({"reason": reason}).encode())
    assert (answer.verdict, answer.reason, answer.status, answer.known) == (verdict, reason, status, True)


def test_the_table_has_nothing_else() -> None:
    assert {(rule.status, rule.reason) for rule in reasons.TABLE} == set().union(*EXPECTED.values())


def test_a_410_tells_since_when() -> None:
    answer = decode(410, b'{"reason":"Unregistered","timestamp":1437179036000}')
    assert answer.since == 1437179036.0
    assert answer.for_registration(1437179035.0).verdict is Verdict.DROP
    assert answer.for_registration(1437179037.0).verdict is Verdict.REJECT


@pytest.mark.parametrize("timestamp", [b"null", b'"1437179036000"', b"true", b"-1", b"0", b"1e300", b"[1]", b"9" * 400])
def test_a_senseless_timestamp_is_none(timestamp: bytes) -> None:
    assert decode(410, b'{"reason":"Unregistered","timestamp":%b}' % timestamp).since is None


@pytest.mark.parametrize(
    ("body", "scope", "wait"),
    [
        (b'{"reason":"TooManyRequests"}', Scope.ADDRESS, 60.0),
        (b'{"reason":"TooManyProviderTokenUpdates"}', Scope.CREDENTIAL, 60.0),
    ],
)
def test_the_two_kinds_of_429(body: bytes, scope: Scope, wait: float) -> None:
    answer = decode(429, body)
    assert (answer.scope, answer.retry_after) == (scope, wait)
    assert decode(429, body, (b"retry-after", b"7")).retry_after == 7.0


def test_a_500_waits_a_quarter_of_an_hour() -> None:
    assert decode(500, b'{"reason":"InternalServerError"}').retry_after == 900.0


def test_a_whole_list_of_bad_tokens_is_suspicious() -> None:
    assert decode(400, b'{"reason":"BadDeviceToken"}').stop_if_all
    assert not decode(410, b'{"reason":"Unregistered"}').stop_if_all


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (502, b"<html><body>Bad gateway</body></html>"),
        (410, b""),
        (410, b'{"reason":"Unregist'),
        (400, b'{"reason":"BadDevice'),
        (400, b'{"reason":"badDeviceToken"}'),
        (410, b'{"reason":["Unregistered"]}'),
        (410, b'["Unregistered"]'),
        (400, b'{"reason":"SomethingNew"}'),
        (403, b'{"reason":"SomethingNew"}'),
        (400, b'{"reason":"Unregistered"}'),
        (500, b'{"reason":"BadDeviceToken"}'),
        (301, b""),
    ],
)
def test_the_malformed_and_the_unknown_are_sent_again(status: int, body: bytes) -> None:
    answer = decode(status, body, (b"retry-after", b"3"))
    assert (answer.verdict, answer.known, answer.retry_after) == (Verdict.RETRY, False, 3.0)
    assert answer.reason


def test_a_reason_that_drops_nobody_may_come_with_another_status() -> None:
    assert decode(400, b'{"reason":"BadCertificateEnvironment"}').verdict is Verdict.STOP


@given(
    st.integers(201, 599),
    st.binary(max_size=200) | st.text().map(lambda reason: json.dumps({"reason": reason}).encode()),
)
def test_any_bytes_have_an_answer_and_the_unknown_is_sent_again(status: int, body: bytes) -> None:
    answer = decode(status, body)
    if answer.reason not in reasons.BY_REASON:
        assert answer.verdict in (Verdict.RETRY, Verdict.AMBIGUOUS)
    assert (answer.verdict is Verdict.DROP) <= ((status, answer.reason) in EXPECTED[Verdict.DROP])


@given(st.integers(201, 599), st.sampled_from([rule.reason for rule in reasons.TABLE]))
def test_only_an_exact_pair_drops(status: int, reason: str) -> None:
    answer = decode(status, json.dumps({"reason": reason}).encode())
    assert (answer.verdict is Verdict.DROP) <= ((status, reason) in EXPECTED[Verdict.DROP])


# GOAWAY


@pytest.mark.parametrize(
    ("debug", "verdict", "scope", "reason"),
    [
        (b'{"reason":"BadCertificateEnvironment"}', Verdict.STOP, Scope.LANE, "BadCertificateEnvironment"),
        (b'{"reason":"ExpiredProviderToken"}', Verdict.REFRESH, Scope.CREDENTIAL, "ExpiredProviderToken"),
        (b'{"reason":"IdleTimeout"}', Verdict.RECONNECT, Scope.CONNECTION, "IdleTimeout"),
        (b'{"reason":"BadDeviceToken"}', Verdict.RECONNECT, Scope.CONNECTION, "BadDeviceToken"),
        (b'{"reason":"PayloadTooLarge"}', Verdict.RECONNECT, Scope.CONNECTION, "PayloadTooLarge"),
        (b'{"reason":"SomethingNew"}', Verdict.RECONNECT, Scope.CONNECTION, "SomethingNew"),
        (b"Maximum active streams violated for this endpoint.", Verdict.RECONNECT, Scope.CONNECTION, "GoAway"),
        (b"\xff\x00", Verdict.RECONNECT, Scope.CONNECTION, "GoAway"),
    ],
)
def test_goaway(debug: bytes, verdict: Verdict, scope: Scope, reason: str) -> None:
    answer = wire.decode_goaway(debug)
    assert answer is not None
    assert (answer.verdict, answer.scope, answer.reason) == (verdict, scope, reason)
    assert answer.known is (reason != "SomethingNew")


def test_a_goaway_keeps_its_text() -> None:
    answer = wire.decode_goaway(b"Maximum active streams violated for this endpoint.")
    assert answer is not None
    assert re.match("Maximum active streams", answer.detail)


def test_a_goaway_that_says_nothing() -> None:
    assert wire.decode_goaway(b"") is None


@given(st.binary(max_size=100))
def test_any_goaway_is_harmless(debug: bytes) -> None:
    answer = wire.decode_goaway(debug)
    assert answer is None or answer.verdict not in (Verdict.DROP, Verdict.FIX, Verdict.REJECT)
