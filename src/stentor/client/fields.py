"""What the API is sent: plain objects, as they are in JSON.

Drawn from the API's operations by `docs/render_client.py`; don't edit it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Required, TypedDict


class LocalizedText(TypedDict, total=False):
    """A text that the app itself translates: a key of its string resources, and what fills the gaps in it."""

    key: Required[str]
    """Of the app's string resources."""
    args: list[str]
    """What fills the gaps, in order."""


class CriticalSound(TypedDict, total=False):
    """A sound that is heard although the device is muted. The app needs Apple's leave for it."""

    name: str
    """`default`, or a sound file in the app."""
    volume: float
    """0 (silent) to 1 (full)."""


class LiveActivity(TypedDict, total=False):
    """The content of a Live Activity push."""

    event: Required[Literal["start", "update", "end"]]
    content_state: Mapping[str, Any] | None
    """The activity's dynamic content, as the app's `ContentState` decodes it. Only an end may do without."""
    timestamp: int | None
    """Epoch seconds; devices ignore a push older than the last. Left out: when the campaign started."""
    stale_date: int | None
    """Epoch seconds from which the content counts as out of date."""
    dismissal_date: int | None
    """Epoch seconds at which an ended activity leaves the screen."""
    attributes_type: str | None
    """Name of the app's attributes type; needed to start one."""
    attributes: Mapping[str, Any] | None
    """The activity's fixed attributes; needed to start one."""


class ApnsOptions(TypedDict, total=False):
    """What only Apple devices understand. Sent by APNs, and by FCM to the Apple devices it serves."""

    push_type: (
        Literal[
            "alert",
            "background",
            "complication",
            "controls",
            "fileprovider",
            "liveactivity",
            "location",
            "mdm",
            "pushtotalk",
            "voip",
            "widgets",
        ]
        | None
    )
    """Left out: `background` for a silent message, `liveactivity` where there is one, else `alert`."""
    topic: str | None
    """Instead of the app's bundle id; the push type's suffix is added where it isn't there."""
    priority: int | None
    """10, 5 or 1, instead of `Message.priority`."""
    expiration: int | None
    """Epoch seconds (0: one attempt, never stored), instead of `Message.ttl`."""
    collapse_id: str | None
    """At most 64 bytes, instead of `Message.collapse_key`."""
    thread_id: str | None
    """Groups notifications on the device."""
    category: str | None
    """Which of the app's sets of buttons the alert has."""
    target_content_id: str | None
    """Which of the app's windows a tap brings forward."""
    interruption_level: Literal["passive", "active", "time-sensitive", "critical"] | None
    relevance_score: float | None
    """0 to 1: which of the app's notifications leads the summary. A Live Activity may use any number."""
    filter_criteria: str | None
    """Compared with the device's Focus filter."""
    launch_image: str | None
    """The picture that a tap shows while the app starts."""
    critical_sound: CriticalSound | None
    """Instead of `Message.sound`."""
    mutable_content: bool
    """Let the app's notification service extension change the alert. Set by itself where there is an image."""
    content_available: bool
    """Wake the app as well. Set by itself for silent messages."""
    image_key: str
    """Under which key of the payload `Message.image` stands, for the app's service extension."""
    live_activity: LiveActivity | None
    payload: Mapping[str, Any] | None
    """Merged over the payload made from all the rest, object by object; None removes a key."""
    raw_payload: str | None
    """The complete JSON payload, sent byte for byte. Headers still come from the fields here."""


class FcmOptions(TypedDict, total=False):
    """What only FCM understands. The overrides are merged over what is made of the common part, object by object."""

    target: Literal["token", "fid", "topic", "condition"]
    validate_only: bool
    """Have FCM check everything and deliver nothing."""
    analytics_label: str | None
    """Under which label Firebase counts it."""
    channel_id: str | None
    """The Android notification channel."""
    icon: str | None
    """A drawable of the Android app."""
    color: str | None
    """`#rrggbb`."""
    click_action: str | None
    """The Android intent that a tap opens."""
    link: str | None
    """The https page that a tap on a web notification opens."""
    direct_boot: bool
    """Deliver before the device is first unlocked after a restart."""
    notification: Mapping[str, Any] | None
    """Merged over `notification`."""
    android: Mapping[str, Any] | None
    """Merged over `android`."""
    android_v2: Mapping[str, Any] | None
    """`android_v2`, which takes the place of `android`: merged over what the message says of `ttl`, texts and tag."""
    apns: Mapping[str, Any] | None
    """Merged over `apns`."""
    webpush: Mapping[str, Any] | None
    """Merged over `webpush`."""
    fcm_options: Mapping[str, Any] | None
    """Merged over `fcm_options`."""
    raw_message: Mapping[str, Any] | None
    """The complete `message` object but for its target, instead of all the rest."""


class WebPushAction(TypedDict, total=False):
    """A button of a web notification."""

    action: Required[str]
    """What the service worker is told when it is pressed."""
    title: Required[str]
    """What stands on it."""
    icon: str | None
    """An https address, or a path on the web app's own site."""


class WebPushOptions(TypedDict, total=False):
    """What only browsers understand. The payload's fields are for the web app's service worker (docs/webpush.md)."""

    url: str | None
    """Which page a click opens: an https address, or a path on the web app's own site."""
    icon: str | None
    """A picture beside the text: an https address or a path, as all addresses here."""
    image: str | None
    """Instead of `Message.image`."""
    badge: str | None
    """A small picture of one colour, for where there is no room for text. `Message.badge` becomes `app_badge`."""
    tag: str | None
    """Of notifications with the same tag a browser shows the newest. Left out: `Message.collapse_key`, or the
    campaign's."""
    actions: list[WebPushAction]
    """Buttons below the text."""
    require_interaction: bool
    """Stays until somebody clicks it away, where the browser allows that."""
    topic: str | None
    """Of undelivered messages with the same topic a push service keeps the newest: at most 32 characters of letters,
    digits, `-` and `_`. Left out: one made of the tag."""
    urgency: Literal["very-low", "low", "normal", "high"] | None
    """Instead of `Message.priority`."""
    ttl: int | None
    """Seconds, instead of `Message.ttl`."""
    payload: Mapping[str, Any] | None
    """Merged over the payload made from all the rest, object by object; None removes a key."""
    raw_payload: str | None
    """The complete payload, encrypted byte for byte. Headers still come from the fields here."""


class TelegramButton(TypedDict, total=False):
    """A button below a message. It has one of the two that say what it does."""

    text: Required[str]
    """What stands on it."""
    url: str | None
    """The https page, or `tg://` link, that it opens."""
    callback_data: str | None
    """What the bot hears when it is pressed: 1 to 64 bytes."""


class TelegramOptions(TypedDict, total=False):
    """What only Telegram understands."""

    text: str | None
    """The complete text, marked up as `parse_mode` says, instead of title and body."""
    parse_mode: Literal["plain", "HTML", "MarkdownV2"] | None
    """Left out: plain for `text`; a title is bold by itself."""
    photo: str | None
    """An https address or the id of a file that Telegram has, instead of `Message.image`. The text is its caption."""
    buttons: list[list[TelegramButton]]
    """Rows of buttons."""
    disable_notification: bool
    """Arrives without a sound."""
    protect_content: bool
    """Cannot be forwarded or saved."""
    link_preview: bool
    """Whether the first link of a text is shown as a card."""
    allow_paid_broadcast: bool
    """Send as fast as the app's `rate` says, up to 1,000 a second. The bot pays Stars for what is above 30 a second."""


class DiscordOptions(TypedDict, total=False):
    """What only Discord understands."""

    content: str | None
    """The complete text, in Discord's Markdown, instead of title and body."""
    embeds: list[Mapping[str, Any]]
    """Embeds as Discord's documentation writes them. A message with an image has one made of it before these."""
    username: str | None
    """Under which name a webhook writes; a bot always writes under its own."""
    avatar_url: str | None
    """The picture beside that name."""
    suppress_embeds: bool
    """Show no previews of links."""
    silent: bool | None
    """Notify nobody, as `@silent` does. Left out: as `Message.silent` says."""
    allowed_mentions: Mapping[str, Any] | None
    """Whom the text may notify by a mention, as Discord's documentation writes it. Left out: nobody."""


class WebhookOptions(TypedDict, total=False):
    """What only receivers of webhooks get."""

    type: str | None
    """What the body's `type` is, e.g. `invoice.due`. Left out: `message`."""
    payload: Mapping[str, Any] | None
    """Merged over the body made from all the rest, object by object; None removes a key."""


class Translation(TypedDict, total=False):
    """What a language says otherwise; what is left out stays as it is in the message."""

    title: str | None
    subtitle: str | None
    body: str | None
    image: str | None
    sound: str | None
    data: Mapping[str, str]
    """For the app's own use."""
    apns: Mapping[str, Any]
    """Any of `ApnsOptions`."""
    fcm: Mapping[str, Any]
    """Any of `FcmOptions`."""
    webpush: Mapping[str, Any]
    """Any of `WebPushOptions`: the titles of buttons, say."""
    telegram: Mapping[str, Any]
    """Any of `TelegramOptions`: the text, or the buttons."""
    discord: Mapping[str, Any]
    """Any of `DiscordOptions`: the content, or the embeds."""
    webhook: Mapping[str, Any]
    """Any of `WebhookOptions`."""
    options: Mapping[str, Mapping[str, Any]]
    """By name, options of channels that other packages add."""


class MessageFile(TypedDict, total=False):
    """A message in all its languages, as a message file has it."""

    title: str | None
    """The line above, in bold."""
    subtitle: str | None
    """Shown by Apple devices only."""
    body: str | None
    """The text itself."""
    title_localized: LocalizedText | None
    subtitle_localized: LocalizedText | None
    body_localized: LocalizedText | None
    image: str | None
    """An https address."""
    sound: str | None
    """`default`, or a sound file in the app."""
    badge: int | None
    """The number on the app's icon; 0 removes it."""
    data: Mapping[str, str]
    """For the app's own use."""
    silent: bool
    """Shows nothing: the app is woken to fetch or to act on `data`."""
    collapse_key: str | None
    """Of messages with the same key, a device shows only the newest."""
    ttl: int | None
    """Seconds for which it is worth delivering. 0: now or never. Left out: as long as the provider keeps it."""
    priority: Literal["high", "normal", "low"] | None
    """Left out: what each provider does by itself."""
    apns: ApnsOptions
    fcm: FcmOptions
    webpush: WebPushOptions
    telegram: TelegramOptions
    discord: DiscordOptions
    webhook: WebhookOptions
    options: Mapping[str, Mapping[str, Any]]
    """By name, those of channels that other packages add; what may stand there is in their documentation."""
    translations: Mapping[str, Translation]
    """By BCP 47 language tag, what is otherwise in that language."""
    language: str
    """The language of the message itself, such as `en`. Its numbers and dates are written so."""
    templates: Literal["jinja", "liquid"]
    """What its templates are written in: `jinja` or `liquid`."""


class Condition(TypedDict, total=False):
    """What a column or attribute must say. A row fulfils it if it has one of the values or begins with one of the
    prefixes (where there are any of either), and has none of the others."""

    values: list[str]
    prefixes: list[str]
    none_of: list[str]
    """A row that says nothing (NULL) has none of these."""


class Audience(TypedDict, total=False):
    """Whom a campaign is for."""

    source: Required[str]
    """The name of an audience in the settings; `registry` is Stentor's own table of installations."""
    filters: Mapping[str, list[str] | Condition]
    """By column or attribute, the values that are wanted, or a condition. All filters must hold."""
    segment: str | Mapping[str, Any] | list[Any] | None
    """A condition that must hold as well: the name of a saved segment, a text such as `country in [DE, AT]`, an object
    in MongoDB's words, or a list of OneSignal's filters."""
    only: list[str] | None
    """Only the installations with these ids."""


class Timing(TypedDict, total=False):
    """When each recipient of a campaign gets it, counted from when the campaign starts."""

    local_at: str | None
    """The time on the recipient's clock at which it is sent: `2030-01-31T18:00`. None: when the campaign starts."""
    no_zone: str | None
    """What happens to recipients without a time zone that is known, if it is needed: `skip` leaves them out, `now`
    sends to them when the campaign starts, and a zone such as `Europe/Berlin` or `+02:00` stands in for theirs. None:
    the campaign doesn't start if there are any; those who come later are left out."""
    past: Literal["now", "skip", "tomorrow"] | None
    """What happens to recipients whose local time was past when the campaign started: `now` sends to them then, `skip`
    leaves them out, and `tomorrow` waits for the same time of the next day. None: the campaign doesn't start if they
    are more than `past_share`; if there are fewer, they are left out."""
    past_share: float
    """The share of all recipients whose local time may be past without a rule, from 0 to 1."""
    quiet_hours: str | None
    """Hours on the recipient's clock in which nothing is sent to them: `22:00-08:00`."""
    quiet_then: Literal["hold", "expire"]
    """What happens to recipients whose time lies in the quiet hours: `hold` sends when these end, `expire` leaves them
    out."""
    spread: float
    """Seconds over which the recipients are spread evenly, from the time that each would have without it."""
    canary: float
    """The share of the recipients that is sent to first, from 0 to 1; the others wait until they are released. 0: all
    at once."""
    hold: bool
    """Whether all recipients wait until they are released."""
