"""FCM messages: what is made of a message, both spellings, and every rule that one may break."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stentor.errors import InvalidMessage
from stentor.model import (
    ActivityEvent,
    ApnsOptions,
    FcmOptions,
    FcmTarget,
    LiveActivity,
    LocalizedText,
    Message,
    Priority,
    PushType,
)
from stentor.providers.fcm import wire
from stentor.simulators.fcm.schema import check_request

START = 1_800_000_000.5


def rendered(message: Message, collapse_id: str = "") -> Any:
    parts = wire.render(message, started_at=START, collapse_id=collapse_id)
    found = json.loads(parts.before + b"X" + parts.after(parts.started_at))
    assert found["message"].pop(message.fcm.target) == "X"
    return found["message"]


def fcm(**options: Any) -> Message:
    return Message(title="t", fcm=FcmOptions(**options))


def test_everything_in_its_place() -> None:
    message = Message(
        title="Sale",
        body="Ends tonight",
        title_localized=LocalizedText(key="T", args=("a",)),
        body_localized=LocalizedText(key="B"),
        image="https://example.com/a.png",
        sound="bell",
        badge=3,
        data={"cid": "881"},
        collapse_key="promo",
        ttl=3600,
        priority=Priority.HIGH,
        fcm=FcmOptions(
            analytics_label="c881",
            channel_id="offers",
            icon="i",
            color="#1a2b3c",
            click_action="OPEN",
            link="https://example.com/offer",
            direct_boot=True,
        ),
    )
    assert rendered(message) == {
        "notification": {"title": "Sale", "body": "Ends tonight", "image": "https://example.com/a.png"},
        "data": {"cid": "881"},
        "android": {
            "priority": "HIGH",
            "ttl": "3600s",
            "collapse_key": "promo",
            "direct_boot_ok": True,
            "notification": {
                "channel_id": "offers",
                "icon": "i",
                "color": "#1a2b3c",
                "click_action": "OPEN",
                "sound": "bell",
                "notification_count": 3,
                "tag": "promo",
                "title_loc_key": "T",
                "title_loc_args": ["a"],
                "body_loc_key": "B",
            },
        },
        "apns": {
            "headers": {"apns-priority": "10", "apns-expiration": "1800003600", "apns-collapse-id": "promo"},
            "payload": {
                "aps": {
                    "alert": {
                        "title": "Sale",
                        "body": "Ends tonight",
                        "title-loc-key": "T",
                        "title-loc-args": ["a"],
                        "loc-key": "B",
                    },
                    "badge": 3,
                    "sound": "bell",
                    "mutable-content": 1,
                }
            },
        },
        "webpush": {
            "headers": {"TTL": "3600", "Urgency": "high", "Topic": "promo"},
            "notification": {"tag": "promo"},
            "fcm_options": {"link": "https://example.com/offer"},
        },
        "fcm_options": {"analytics_label": "c881"},
    }


def test_a_plain_alert_is_sent_once() -> None:
    assert rendered(Message(title="t")) == {"notification": {"title": "t"}}


def test_a_silent_message() -> None:
    assert rendered(Message(silent=True, data={"a": "b"}, priority=Priority.HIGH), "c1") == {
        "data": {"a": "b"},
        "android": {"priority": "HIGH"},
        "apns": {
            "headers": {"apns-priority": "5", "apns-collapse-id": "c1", "apns-push-type": "background"},
            "payload": {"aps": {"content-available": 1}},
        },
        "webpush": {"headers": {"Urgency": "high"}},
    }


def test_a_campaigns_id_replaces_what_was_shown_but_uses_up_no_collapse_key() -> None:
    message = rendered(Message(title="t", ttl=0, priority=Priority.LOW), "c1")
    assert message["android"] == {"priority": "NORMAL", "ttl": "0s", "notification": {"tag": "c1"}}
    assert message["apns"]["headers"] == {"apns-priority": "5", "apns-expiration": "0", "apns-collapse-id": "c1"}
    assert message["webpush"]["headers"] == {"TTL": "0", "Urgency": "low", "Topic": "c1"}
    assert message["webpush"]["notification"] == {"tag": "c1"}


def test_collapse_ids_fit_where_they_go() -> None:
    message = rendered(Message(title="t"), "campaign/" + "x" * 60)
    assert message["android"]["notification"]["tag"] == "campaign/" + "x" * 60
    assert len(message["apns"]["headers"]["apns-collapse-id"]) == 32
    assert len(message["webpush"]["headers"]["Topic"]) == 32


def test_a_campaign_id_of_64_bytes_is_used_as_it_is() -> None:
    assert rendered(Message(title="t"), "c" * 64)["apns"]["headers"]["apns-collapse-id"] == "c" * 64


def test_a_data_message_collapses_by_its_own_key_alone() -> None:
    message = rendered(Message(data={"a": "b"}, collapse_key="k"), "c1")
    assert message["android"] == {"collapse_key": "k"}
    assert message["webpush"] == {"headers": {"Topic": "k"}}


def test_apple_options_reach_apple_devices_through_fcm_too() -> None:
    message = Message(
        title="t",
        subtitle="s",
        ttl=60,
        apns=ApnsOptions(
            thread_id="x", priority=1, expiration=7, collapse_id="k", payload={"aps": {"badge": 2}, "own": 1}
        ),
    )
    assert rendered(message)["apns"] == {
        "headers": {"apns-priority": "1", "apns-expiration": "7", "apns-collapse-id": "k"},
        "payload": {"aps": {"alert": {"title": "t", "subtitle": "s"}, "thread-id": "x", "badge": 2}, "own": 1},
    }
    raw = Message(title="t", apns=ApnsOptions(raw_payload=b'{"aps":{"badge":9}}'))
    assert rendered(raw)["apns"]["payload"] == {"aps": {"badge": 9}}


@pytest.mark.parametrize(
    "options",
    [
        ApnsOptions(push_type=PushType.VOIP, thread_id="x"),
        ApnsOptions(live_activity=LiveActivity(event=ActivityEvent.END)),
    ],
)
def test_what_fcm_cannot_carry_stays_away(options: ApnsOptions) -> None:
    assert rendered(Message(title="t", data={"call": "1"}, apns=options)) == {
        "notification": {"title": "t"},
        "data": {"call": "1"},
    }


def test_overrides_in_both_spellings_meet_the_field_they_mean() -> None:
    message = Message(
        title="t",
        collapse_key="k",
        fcm=FcmOptions(
            notification={"title": "other"},
            android={
                "collapseKey": "mine",
                "restrictedPackageName": "com.x",
                "notification": {"titleLocKey": "T", "tag": None, "light_settings": {"lightOnDuration": "1s"}},
                "data": {"camelKey": "v"},
            },
            apns={
                "headers": {"apns-collapse-id": "o"},
                "payload": {"camelKey": 1},
                "fcmOptions": {"analyticsLabel": "l"},
            },
            webpush={
                "notification": {"requireInteraction": True},
                "data": {"camelKey": "v"},
                "fcmOptions": {"link": "https://x"},
            },
            fcm_options={"analyticsLabel": "m"},
        ),
    )
    assert rendered(message) == {
        "notification": {"title": "other"},
        "android": {
            "collapse_key": "mine",
            "restricted_package_name": "com.x",
            "notification": {"title_loc_key": "T", "light_settings": {"light_on_duration": "1s"}},
            "data": {"camelKey": "v"},
        },
        "apns": {
            "headers": {"apns-collapse-id": "o"},
            "payload": {"camelKey": 1},
            "fcm_options": {"analytics_label": "l"},
        },
        "webpush": {
            "headers": {"Topic": "k"},
            "notification": {"tag": "k", "requireInteraction": True},
            "data": {"camelKey": "v"},
            "fcm_options": {"link": "https://x"},
        },
        "fcm_options": {"analytics_label": "m"},
    }


def test_a_raw_message_replaces_all_the_rest() -> None:
    raw = {"data": {"camelKey": "v"}, "fcmOptions": {"analyticsLabel": "l"}, "android": {"directBootOk": True}}
    assert rendered(fcm(raw_message=raw)) == {
        "data": {"camelKey": "v"},
        "fcm_options": {"analytics_label": "l"},
        "android": {"direct_boot_ok": True},
    }


WRONG: list[tuple[str, Message]] = [
    ("title", Message()),
    ("title", Message(fcm=FcmOptions(analytics_label="x", android={"priority": "high"}))),
    ("badge", Message(title="t", badge=-1)),
    ("ttl", Message(title="t", ttl=2_419_201)),
    ("data.from", Message(title="t", data={"from": "x"})),
    ("data.message_type", Message(title="t", data={"message_type": "x"})),
    ("data.google.x", Message(title="t", data={"google.x": "x"})),
    ("data.gcm.notification.x", Message(title="t", data={"gcm.notification.x": "x"})),
    ("android_v2.data.from", fcm(android_v2={"data": {"from": "x"}})),
    ("android_v2.ttl", fcm(android_v2={"ttl": 7})),
    (
        "android_v2.remote_notification.notification.id",
        fcm(android_v2={"remoteNotification": {"notification": {"id": "a"}}}),
    ),
    ("target", fcm(target="everybody")),
    ("android", fcm(android=[1])),
    ("android", fcm(android={1: 2})),
    ("android.collapse_key", fcm(android={"collapse_key": "a", "collapseKey": "b"})),
    ("android.ttl", fcm(android={"ttl": 3600})),
    ("android.ttl", fcm(android={"ttl": "3600"})),
    ("android.ttl", fcm(android={"ttl": "-1s"})),
    ("android.ttl", fcm(android={"ttl": "2419201s"})),
    ("android.ttl", fcm(android={"ttl": "2419200.5s"})),
    ("android.priority", fcm(android={"priority": "urgent"})),
    ("android.priority", fcm(android={"priority": 10})),
    ("android.direct_boot_ok", fcm(android={"directBootOk": "yes"})),
    ("android.data.from", fcm(android={"data": {"from": "x"}})),
    ("android.data.n", fcm(android={"data": {"n": 1}})),
    ("android.notification", fcm(android={"notification": "x"})),
    ("android.notification.tag", fcm(android={"notification": {"tag": 1}})),
    ("android.notification.color", fcm(color="red")),
    ("android.notification.image", fcm(android={"notification": {"image": "http://x"}})),
    ("android.notification.body_loc_args", fcm(android={"notification": {"bodyLocArgs": "x"}})),
    ("android.notification.notification_count", fcm(android={"notification": {"notificationCount": "3"}})),
    ("android.fcm_options.analytics_label", fcm(android={"fcmOptions": {"analyticsLabel": "a b"}})),
    ("apns.headers.apns-priority", fcm(apns={"headers": {"apns-priority": "7"}})),
    ("apns.headers.apns-priority", fcm(apns={"headers": {"apns-priority": 10}})),
    ("apns.headers.apns-priority", Message(silent=True, apns=ApnsOptions(priority=10))),
    ("apns.headers.apns-expiration", fcm(apns={"headers": {"apns-expiration": "soon"}})),
    ("apns.headers.apns-collapse-id", fcm(apns={"headers": {"apns-collapse-id": "x" * 65}})),
    ("apns.headers.apns-collapse-id", Message(title="t", collapse_key="x" * 65)),
    ("apns.headers.x", fcm(apns={"headers": {"x": "a\r\nb: c"}})),
    ("apns.payload", fcm(apns={"payload": "x"})),
    ("apns.payload.aps", fcm(apns={"payload": {"aps": []}})),
    ("apns.payload.aps.badge", fcm(apns={"payload": {"aps": {"badge": "1"}}})),
    ("webpush.headers.TTL", fcm(webpush={"headers": {"TTL": "1h"}})),
    ("webpush.headers.x", fcm(webpush={"headers": {"x": "a\nb"}})),
    ("webpush.data.n", fcm(webpush={"data": {"n": 1}})),
    ("webpush.notification", fcm(webpush={"notification": "x"})),
    ("webpush.fcm_options.link", fcm(link="http://example.com")),
    ("fcm_options.analytics_label", fcm(analytics_label="")),
    ("fcm_options.analytics_label", fcm(analytics_label="x" * 51)),
    ("notification.title", fcm(notification={"title": 5})),
    ("notification.image", fcm(notification={"image": "http://x"})),
    ("raw_message", fcm(raw_message=[1])),
    ("data.n", fcm(raw_message={"data": {"n": 1}})),
    ("data", fcm(raw_message={"data": "x"})),
    *((target.value, fcm(raw_message={"data": {"a": "b"}, target.value: "x"})) for target in FcmTarget),
]


@pytest.mark.parametrize(("field", "message"), WRONG)
def test_a_broken_rule_names_its_field(field: str, message: Message) -> None:
    with pytest.raises(InvalidMessage) as raised:
        wire.render(message, started_at=START)
    assert raised.value.field.removeprefix("fcm.") == field


def test_unreadable_apple_payload() -> None:
    with pytest.raises(InvalidMessage) as raised:
        wire.render(Message(title="t", apns=ApnsOptions(raw_payload=b"x")), started_at=START)
    assert raised.value.field == "apns.raw_payload"


@pytest.mark.parametrize("key", ["google_place_id", "googlePay", "google", "gcm_id", "gcm.x", "fromage"])
def test_keys_that_only_look_reserved_are_taken(key: str) -> None:
    message = rendered(Message(title="t", data={key: "x"}))
    assert message["data"] == {key: "x"}
    check_request({"message": {"token": "x", **message}}, "")


def test_the_newer_android_block_takes_the_older_ones_place() -> None:
    options = FcmOptions(
        channel_id="promo", android_v2={"remoteNotification": {"mutableContent": True, "notification": {"id": 7}}}
    )
    message = rendered(Message(title="t", ttl=60, priority=Priority.HIGH, fcm=options), "c1")
    assert "android" not in message
    assert message["android_v2"] == {
        "ttl": "60s",
        "remote_notification": {
            "mutable_content": True,
            "notification": {"channel_id": "promo", "tag": "c1", "id": 7},
        },
    }
    check_request({"message": {"token": "x", **message}}, "")
    sync = rendered(
        Message(title="t", fcm=FcmOptions(android_v2={"backgroundSync": {}, "data": {"camelKey": "v"}})), "c1"
    )
    assert sync["android_v2"] == {"background_sync": {}, "data": {"camelKey": "v"}}
    check_request({"message": {"token": "x", **sync}}, "")
    assert rendered(Message(fcm=FcmOptions(android_v2={"background_sync": {}})))


@pytest.mark.parametrize("ttl", ["0s", "2419200s", "2419200.000s", "1.5s"])
def test_good_ttls(ttl: str) -> None:
    assert rendered(fcm(android={"ttl": ttl}))["android"]["ttl"] == ttl


@pytest.mark.parametrize(
    ("target", "limit"),
    [(FcmTarget.TOKEN, 4096), (FcmTarget.FID, 4096), (FcmTarget.TOPIC, 2048), (FcmTarget.CONDITION, 2048)],
)
def test_the_size_limit_to_the_byte(target: FcmTarget, limit: int) -> None:
    base = len(b'{"notification":{"title":"t"},"data":{"x":""}}')

    def sized(size: int) -> Message:
        return Message(title="t", data={"x": "y" * (size - base)}, fcm=FcmOptions(target=target))

    assert rendered(sized(limit))
    with pytest.raises(InvalidMessage, match=rf"is {limit + 1:,} bytes, {limit:,} are allowed; .*`data\.x`"):
        rendered(sized(limit + 1))


def test_each_platform_is_counted_by_itself() -> None:
    blocks: dict[str, Any] = {
        "android": {"data": {"x": "y" * 2500}},
        "apns": {"payload": {"x": "y" * 2500}},
        "webpush": {"data": {"x": "y" * 2500}},
    }
    assert rendered(fcm(**blocks))
    for platform, block in blocks.items():
        with pytest.raises(InvalidMessage, match=r"`[a-z.]*x` with 2,502 bytes") as raised:
            rendered(Message(title="t" * 1800, fcm=FcmOptions(**{platform: block})))
        assert raised.value.field == f"fcm.{platform}"


def test_a_platforms_data_replace_the_common_ones() -> None:
    android = {"data": {"y": "y" * 2500}}
    assert rendered(Message(title="t", data={"x": "x" * 2500}, fcm=FcmOptions(android=android)))


def test_the_longest_lifetime() -> None:
    assert rendered(Message(title="t", ttl=2_419_200))["android"]["ttl"] == "2419200s"


def test_headers_and_options_do_not_count() -> None:
    long = "x" * 64
    message = Message(title="t" * 3980, collapse_key=long, ttl=5, fcm=FcmOptions(analytics_label="l" * 50))
    assert rendered(message)["apns"]["headers"]["apns-collapse-id"] == long
