"""APNs payloads: what is made of a message, and every rule that one may break."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from stentor.errors import InvalidMessage
from stentor.model import (
    ActivityEvent,
    ApnsOptions,
    CriticalSound,
    InterruptionLevel,
    LiveActivity,
    LocalizedText,
    Message,
    PushType,
)
from stentor.providers.apns import payload

START = 1_800_000_000.5


def rendered(message: Message) -> Any:
    return json.loads(payload.render_payload(message, payload.push_type(message), START))


def apns(**options: Any) -> Message:
    return Message(title="t", apns=ApnsOptions(**options))


def test_everything_in_its_place() -> None:
    message = Message(
        title="Sale",
        subtitle="Today",
        body="Ends tonight",
        title_localized=LocalizedText(key="T", args=("a",)),
        subtitle_localized=LocalizedText(key="S"),
        body_localized=LocalizedText(key="B", args=("b", "c")),
        image="https://example.com/a.png",
        sound="bell.caf",
        badge=0,
        data={"cid": "881"},
        apns=ApnsOptions(
            thread_id="promo",
            category="OFFER",
            target_content_id="w1",
            interruption_level=InterruptionLevel.TIME_SENSITIVE,
            relevance_score=0.5,
            filter_criteria="work",
            launch_image="l",
            content_available=True,
        ),
    )
    assert rendered(message) == {
        "aps": {
            "alert": {
                "title": "Sale",
                "subtitle": "Today",
                "body": "Ends tonight",
                "title-loc-key": "T",
                "title-loc-args": ["a"],
                "subtitle-loc-key": "S",
                "loc-key": "B",
                "loc-args": ["b", "c"],
                "launch-image": "l",
            },
            "badge": 0,
            "sound": "bell.caf",
            "thread-id": "promo",
            "category": "OFFER",
            "target-content-id": "w1",
            "interruption-level": "time-sensitive",
            "relevance-score": 0.5,
            "filter-criteria": "work",
            "content-available": 1,
            "mutable-content": 1,
        },
        "cid": "881",
        "image": "https://example.com/a.png",
    }


def test_a_silent_message_wakes_the_app() -> None:
    message = Message(silent=True, data={"sync": "1"})
    assert payload.push_type(message) is PushType.BACKGROUND
    assert rendered(message) == {"aps": {"content-available": 1}, "sync": "1"}


def test_a_critical_sound() -> None:
    message = apns(critical_sound=CriticalSound(name="alarm.caf", volume=0.25))
    assert rendered(message)["aps"]["sound"] == {"critical": 1, "name": "alarm.caf", "volume": 0.25}


def test_the_image_key_can_be_chosen_and_data_wins() -> None:
    message = Message(title="t", image="https://example.com/a.png", apns=ApnsOptions(image_key="pic"))
    assert rendered(message)["pic"] == "https://example.com/a.png"
    assert rendered(replace(message, data={"pic": "mine"}))["pic"] == "mine"


def test_overrides_are_merged_over_all() -> None:
    message = apns(payload={"aps": {"alert": {"title": None, "body": "b"}, "sound": "x"}, "deep": {"a": [1, {"b": 2}]}})
    assert rendered(message) == {"aps": {"alert": {"body": "b"}, "sound": "x"}, "deep": {"a": [1, {"b": 2}]}}


def test_a_raw_payload_is_sent_byte_for_byte() -> None:
    raw = b'{ "aps" : {"alert":"hi"} }'
    assert payload.render_payload(apns(raw_payload=raw), PushType.ALERT, START) == raw


def test_a_live_activity() -> None:
    activity = LiveActivity(
        event=ActivityEvent.START,
        content_state={"score": 0},
        stale_date=1_800_000_600,
        dismissal_date=1_800_001_000,
        attributes_type="Match",
        attributes={"home": "Troy"},
    )
    message = Message(title="Kick-off", body="Now", apns=ApnsOptions(live_activity=activity, relevance_score=75.0))
    assert payload.push_type(message) is PushType.LIVEACTIVITY
    assert rendered(message)["aps"] == {
        "alert": {"title": "Kick-off", "body": "Now"},
        "relevance-score": 75.0,
        "event": "start",
        "content-state": {"score": 0},
        "timestamp": 1_800_000_000,
        "stale-date": 1_800_000_600,
        "dismissal-date": 1_800_001_000,
        "attributes-type": "Match",
        "attributes": {"home": "Troy"},
    }
    update = LiveActivity(event=ActivityEvent.UPDATE, content_state={}, timestamp=5)
    assert rendered(Message(apns=ApnsOptions(live_activity=update)))["aps"] == {
        "event": "update",
        "content-state": {},
        "timestamp": 5,
    }
    end = LiveActivity(event=ActivityEvent.END)
    assert rendered(Message(apns=ApnsOptions(live_activity=end)))["aps"]["event"] == "end"


def test_voip_and_mdm_have_contents_of_their_own() -> None:
    voip = Message(data={"call": "1"}, apns=ApnsOptions(push_type=PushType.VOIP))
    assert rendered(voip) == {"aps": {}, "call": "1"}
    mdm = Message(data={"mdm": "magic"}, apns=ApnsOptions(push_type=PushType.MDM))
    assert rendered(mdm) == {"mdm": "magic"}


def activity(**fields: Any) -> Message:
    return Message(apns=ApnsOptions(live_activity=LiveActivity(**fields)))


START_EVENT = {"event": ActivityEvent.START, "content_state": {}, "attributes_type": "A", "attributes": {}}
WRONG: list[tuple[str, Message]] = [
    ("apns.payload.aps", Message()),
    ("apns.payload.aps", Message(data={"only": "data"})),
    ("apns.push_type", apns(push_type="shout")),
    ("data.aps", Message(title="t", data={"aps": "x"})),
    ("apns.payload", apns(payload=[1])),
    ("apns.payload", apns(payload={1: 2})),
    ("apns.payload", apns(payload={"x": object()})),
    ("apns.payload.aps", apns(payload={"aps": 5})),
    ("apns.payload.aps.alert", apns(payload={"aps": {"alert": 5}})),
    ("apns.payload.aps.alert.title", apns(payload={"aps": {"alert": {"title": 5}}})),
    ("apns.payload.aps.alert.loc-args", apns(payload={"aps": {"alert": {"loc-args": [1]}}})),
    ("apns.payload.aps.badge", apns(payload={"aps": {"badge": "1"}})),
    ("apns.payload.aps.badge", apns(payload={"aps": {"badge": True}})),
    ("apns.payload.aps.badge", apns(payload={"aps": {"badge": -1}})),
    ("apns.payload.aps.sound", apns(payload={"aps": {"sound": 1}})),
    ("apns.payload.aps.sound.volume", apns(critical_sound=CriticalSound(volume=1.5))),
    ("apns.payload.aps.sound.critical", apns(payload={"aps": {"sound": {"critical": True}}})),
    ("apns.payload.aps.sound.name", apns(payload={"aps": {"sound": {"name": 1}}})),
    ("apns.payload.aps.thread-id", apns(thread_id=5)),
    ("apns.payload.aps.category", apns(category=5)),
    ("apns.payload.aps.content-available", apns(payload={"aps": {"content-available": True}})),
    ("apns.payload.aps.mutable-content", apns(payload={"aps": {"mutable-content": "1"}})),
    ("apns.payload.aps.interruption-level", apns(interruption_level="loud")),
    ("apns.payload.aps.relevance-score", apns(relevance_score=1.5)),
    ("apns.payload.aps.relevance-score", apns(relevance_score=float("nan"))),
    ("apns.payload.aps.relevance-score", apns(relevance_score="1")),
    (
        "apns.payload.aps.content-available",
        Message(silent=True, apns=ApnsOptions(payload={"aps": {"content-available": 0}})),
    ),
    ("apns.payload.aps.alert", apns(push_type=PushType.BACKGROUND)),
    ("apns.payload.aps.badge", Message(silent=True, apns=ApnsOptions(payload={"aps": {"badge": 0}}))),
    ("apns.payload.aps.sound", Message(silent=True, apns=ApnsOptions(payload={"aps": {"sound": "x"}}))),
    ("apns.payload.aps.event", Message(title="t", apns=ApnsOptions(push_type=PushType.LIVEACTIVITY))),
    ("apns.payload.aps.event", activity(event="pause", content_state={})),
    ("apns.payload.aps.content-state", activity(event=ActivityEvent.UPDATE)),
    ("apns.payload.aps.content-state", activity(event=ActivityEvent.UPDATE, content_state=[1])),
    ("apns.payload.aps.timestamp", activity(event=ActivityEvent.END, timestamp=1_800_000_000_000)),
    ("apns.payload.aps.stale-date", activity(event=ActivityEvent.END, stale_date=-1)),
    ("apns.payload.aps.attributes-type", activity(**{**START_EVENT, "attributes_type": None})),
    ("apns.payload.aps.attributes", activity(**{**START_EVENT, "attributes": None})),
    ("apns.payload.aps.alert", activity(**START_EVENT)),
    ("apns.payload.mdm", Message(apns=ApnsOptions(push_type=PushType.MDM))),
    ("apns.raw_payload", apns(raw_payload=b"")),
    ("apns.raw_payload", apns(raw_payload=b"[]")),
    ("apns.raw_payload", apns(raw_payload='{"aps":{"alert":"x"}}')),
    ("apns.raw_payload.aps", apns(raw_payload=b"{}")),
    ("apns.raw_payload.aps.badge", apns(raw_payload=b'{"aps":{"badge":"1"}}')),
]


@pytest.mark.parametrize(("field", "message"), WRONG)
def test_a_broken_rule_names_its_field(field: str, message: Message) -> None:
    with pytest.raises(InvalidMessage) as raised:
        payload.render_payload(message, payload.push_type(message), START)
    assert raised.value.field == field


@pytest.mark.parametrize(("kind", "limit"), [(PushType.ALERT, 4096), (PushType.VOIP, 5120), (PushType.WIDGETS, 4096)])
@pytest.mark.parametrize("raw", [False, True])
def test_the_size_limit_to_the_byte(kind: PushType, limit: int, raw: bool) -> None:
    base = len(b'{"aps":{"alert":{"title":"t"}},"x":""}')

    def sized(size: int) -> Message:
        filling = "é" * ((size - base) // 2) + "y" * ((size - base) % 2)
        if raw:
            body = '{"aps":{"alert":{"title":"t"}},"x":"' + filling + '"}'
            return apns(push_type=kind, raw_payload=body.encode())
        return Message(title="t", data={"x": filling}, apns=ApnsOptions(push_type=kind))

    assert len(payload.render_payload(sized(limit), kind, START)) == limit
    with pytest.raises(InvalidMessage, match=rf"is {limit + 1:,} bytes, {limit:,} are allowed; .*`x`"):
        payload.render_payload(sized(limit + 1), kind, START)


def test_a_huge_raw_payload_is_too_large_and_not_unreadable() -> None:
    with pytest.raises(InvalidMessage, match="are allowed"):
        payload.render_payload(apns(raw_payload=b'{"aps":{"alert":"%b"}}' % (b"x" * 100_000)), PushType.ALERT, START)
