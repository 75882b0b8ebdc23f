"""The frozen types that all stages share. They hold data and no rules: what a provider allows is checked by its sender.

`Message` is what everybody gets; `ApnsOptions`, `FcmOptions` and the like say what only one provider understands. An
option wins over the common field it stands for. To change something, `dataclasses.replace` it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

JsonObject = Mapping[str, Any]
"""A JSON object: strings, numbers, booleans, None, lists and such objects."""


class Priority(StrEnum):
    """How urgent a message is; each provider has numbers or words of its own for it."""

    HIGH = "high"
    """Now, even if the device has to wake up."""
    NORMAL = "normal"
    """Soon, as the device's power allows."""
    LOW = "low"
    """Whenever; never wakes the device. Providers without such a level treat it as normal."""


class Action(StrEnum):
    """What a campaign does with its message."""

    SEND = "send"
    EDIT = "edit"
    """It takes the place of another campaign's: that is edited where the provider can, and replaced elsewhere."""
    UNDO = "undo"
    """Another campaign's is deleted where the provider can; elsewhere this one replaces it, or tells the app to remove
    it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalizedText:
    """A text that the app itself translates: a key of its string resources, and what fills the gaps in it."""

    key: str
    """Of the app's string resources."""
    args: tuple[str, ...] = ()
    """What fills the gaps, in order."""


class PushType(StrEnum):
    """APNs' kinds of push (`apns-push-type`)."""

    ALERT = "alert"
    BACKGROUND = "background"
    COMPLICATION = "complication"
    CONTROLS = "controls"
    FILEPROVIDER = "fileprovider"
    LIVEACTIVITY = "liveactivity"
    LOCATION = "location"
    MDM = "mdm"
    PUSHTOTALK = "pushtotalk"
    VOIP = "voip"
    WIDGETS = "widgets"


class InterruptionLevel(StrEnum):
    """How much an alert may disturb its reader (iOS 15+)."""

    PASSIVE = "passive"
    ACTIVE = "active"
    TIME_SENSITIVE = "time-sensitive"
    CRITICAL = "critical"


class ActivityEvent(StrEnum):
    """What a Live Activity push does to the activity."""

    START = "start"
    UPDATE = "update"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticalSound:
    """A sound that is heard although the device is muted. The app needs Apple's leave for it."""

    name: str = "default"
    """`default`, or a sound file in the app."""
    volume: float = 1.0
    """0 (silent) to 1 (full)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveActivity:
    """The content of a Live Activity push."""

    event: ActivityEvent
    content_state: JsonObject | None = None
    """The activity's dynamic content, as the app's `ContentState` decodes it. Only an end may do without."""
    timestamp: int | None = None
    """Epoch seconds; devices ignore a push older than the last. Left out: when the campaign started."""
    stale_date: int | None = None
    """Epoch seconds from which the content counts as out of date."""
    dismissal_date: int | None = None
    """Epoch seconds at which an ended activity leaves the screen."""
    attributes_type: str | None = None
    """Name of the app's attributes type; needed to start one."""
    attributes: JsonObject | None = None
    """The activity's fixed attributes; needed to start one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApnsOptions:
    """What only Apple devices understand. Sent by APNs, and by FCM to the Apple devices it serves."""

    push_type: PushType | None = None
    """Left out: `background` for a silent message, `liveactivity` where there is one, else `alert`."""
    topic: str | None = None
    """Instead of the app's bundle id; the push type's suffix is added where it isn't there."""
    priority: int | None = None
    """10, 5 or 1, instead of `Message.priority`."""
    expiration: int | None = None
    """Epoch seconds (0: one attempt, never stored), instead of `Message.ttl`."""
    collapse_id: str | None = None
    """At most 64 bytes, instead of `Message.collapse_key`."""
    thread_id: str | None = None
    """Groups notifications on the device."""
    category: str | None = None
    """Which of the app's sets of buttons the alert has."""
    target_content_id: str | None = None
    """Which of the app's windows a tap brings forward."""
    interruption_level: InterruptionLevel | None = None
    relevance_score: float | None = None
    """0 to 1: which of the app's notifications leads the summary. A Live Activity may use any number."""
    filter_criteria: str | None = None
    """Compared with the device's Focus filter."""
    launch_image: str | None = None
    """The picture that a tap shows while the app starts."""
    critical_sound: CriticalSound | None = None
    """Instead of `Message.sound`."""
    mutable_content: bool = False
    """Let the app's notification service extension change the alert. Set by itself where there is an image."""
    content_available: bool = False
    """Wake the app as well. Set by itself for silent messages."""
    image_key: str = "image"
    """Under which key of the payload `Message.image` stands, for the app's service extension."""
    live_activity: LiveActivity | None = None
    payload: JsonObject | None = None
    """Merged over the payload made from all the rest, object by object; None removes a key."""
    raw_payload: bytes | None = None
    """The complete JSON payload, sent byte for byte. Headers still come from the fields here."""


class FcmTarget(StrEnum):
    """What an FCM lane's addresses are."""

    TOKEN = "token"
    """A registration token."""
    FID = "fid"
    """A Firebase installation id, which is to replace tokens."""
    TOPIC = "topic"
    """A topic's name, without `/topics/`."""
    CONDITION = "condition"
    """An expression over topics, e.g. `'news' in topics && !('de' in topics)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FcmOptions:
    """What only FCM understands. The overrides are merged over what is made of the common part, object by object.

    Their fields may be spelled `like_this` or `likeThis`, as FCM's documentation does both; None removes a field.
    """

    target: FcmTarget = FcmTarget.TOKEN
    validate_only: bool = False
    """Have FCM check everything and deliver nothing."""
    analytics_label: str | None = None
    """Under which label Firebase counts it."""
    channel_id: str | None = None
    """The Android notification channel."""
    icon: str | None = None
    """A drawable of the Android app."""
    color: str | None = None
    """`#rrggbb`."""
    click_action: str | None = None
    """The Android intent that a tap opens."""
    link: str | None = None
    """The https page that a tap on a web notification opens."""
    direct_boot: bool = False
    """Deliver before the device is first unlocked after a restart."""
    notification: JsonObject | None = None
    """Merged over `notification`."""
    android: JsonObject | None = None
    """Merged over `android`."""
    android_v2: JsonObject | None = None
    """`android_v2`, which takes the place of `android`: merged over what the message says of `ttl`, texts and tag."""
    apns: JsonObject | None = None
    """Merged over `apns`."""
    webpush: JsonObject | None = None
    """Merged over `webpush`."""
    fcm_options: JsonObject | None = None
    """Merged over `fcm_options`."""
    raw_message: JsonObject | None = None
    """The complete `message` object but for its target, instead of all the rest."""


class TelegramMarkup(StrEnum):
    """How `TelegramOptions.text` marks what is bold, a link, and so on (`parse_mode`)."""

    PLAIN = "plain"
    HTML = "HTML"
    MARKDOWN_V2 = "MarkdownV2"


@dataclass(frozen=True, slots=True, kw_only=True)
class TelegramButton:
    """A button below a message. It has one of the two that say what it does."""

    text: str
    """What stands on it."""
    url: str | None = None
    """The https page, or `tg://` link, that it opens."""
    callback_data: str | None = None
    """What the bot hears when it is pressed: 1 to 64 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TelegramOptions:
    """What only Telegram understands."""

    text: str | None = None
    """The complete text, marked up as `parse_mode` says, instead of title and body."""
    parse_mode: TelegramMarkup | None = None
    """Left out: plain for `text`; a title is bold by itself."""
    photo: str | None = None
    """An https address or the id of a file that Telegram has, instead of `Message.image`. The text is its caption."""
    buttons: tuple[tuple[TelegramButton, ...], ...] = ()
    """Rows of buttons."""
    disable_notification: bool = False
    """Arrives without a sound."""
    protect_content: bool = False
    """Cannot be forwarded or saved."""
    link_preview: bool = True
    """Whether the first link of a text is shown as a card."""
    allow_paid_broadcast: bool = False
    """Send as fast as the app's `rate` says, up to 1,000 a second. The bot pays Stars for what is above 30 a second."""


class Urgency(StrEnum):
    """How much of a phone's battery a Web Push message may cost (RFC 8030)."""

    VERY_LOW = "very-low"
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPushAction:
    """A button of a web notification."""

    action: str
    """What the service worker is told when it is pressed."""
    title: str
    """What stands on it."""
    icon: str | None = None
    """An https address, or a path on the web app's own site."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPushOptions:
    """What only browsers understand. The payload's fields are for the web app's service worker (docs/webpush.md)."""

    url: str | None = None
    """Which page a click opens: an https address, or a path on the web app's own site."""
    icon: str | None = None
    """A picture beside the text: an https address or a path, as all addresses here."""
    image: str | None = None
    """Instead of `Message.image`."""
    badge: str | None = None
    """A small picture of one colour, for where there is no room for text. `Message.badge` becomes `app_badge`."""
    tag: str | None = None
    """Of notifications with the same tag a browser shows the newest. Left out: `Message.collapse_key`, or the
    campaign's."""
    actions: tuple[WebPushAction, ...] = ()
    """Buttons below the text."""
    require_interaction: bool = False
    """Stays until somebody clicks it away, where the browser allows that."""
    topic: str | None = None
    """Of undelivered messages with the same topic a push service keeps the newest: at most 32 characters of letters,
    digits, `-` and `_`. Left out: one made of the tag."""
    urgency: Urgency | None = None
    """Instead of `Message.priority`."""
    ttl: int | None = None
    """Seconds, instead of `Message.ttl`."""
    payload: JsonObject | None = None
    """Merged over the payload made from all the rest, object by object; None removes a key."""
    raw_payload: bytes | None = None
    """The complete payload, encrypted byte for byte. Headers still come from the fields here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscordOptions:
    """What only Discord understands."""

    content: str | None = None
    """The complete text, in Discord's Markdown, instead of title and body."""
    embeds: tuple[JsonObject, ...] = ()
    """Embeds as Discord's documentation writes them. A message with an image has one made of it before these."""
    username: str | None = None
    """Under which name a webhook writes; a bot always writes under its own."""
    avatar_url: str | None = None
    """The picture beside that name."""
    suppress_embeds: bool = False
    """Show no previews of links."""
    silent: bool | None = None
    """Notify nobody, as `@silent` does. Left out: as `Message.silent` says."""
    allowed_mentions: JsonObject | None = None
    """Whom the text may notify by a mention, as Discord's documentation writes it. Left out: nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookOptions:
    """What only receivers of webhooks get."""

    type: str | None = None
    """What the body's `type` is, e.g. `invoice.due`. Left out: `message`."""
    payload: JsonObject | None = None
    """Merged over the body made from all the rest, object by object; None removes a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a campaign sends, in words every provider has."""

    title: str | None = None
    """The line above, in bold."""
    subtitle: str | None = None
    """Shown by Apple devices only."""
    body: str | None = None
    """The text itself."""
    title_localized: LocalizedText | None = None
    subtitle_localized: LocalizedText | None = None
    body_localized: LocalizedText | None = None
    image: str | None = None
    """An https address."""
    sound: str | None = None
    """`default`, or a sound file in the app."""
    badge: int | None = None
    """The number on the app's icon; 0 removes it."""
    data: Mapping[str, str] = field(default_factory=dict)
    """For the app's own use."""
    silent: bool = False
    """Shows nothing: the app is woken to fetch or to act on `data`."""
    collapse_key: str | None = None
    """Of messages with the same key, a device shows only the newest."""
    ttl: int | None = None
    """Seconds for which it is worth delivering. 0: now or never. Left out: as long as the provider keeps it."""
    priority: Priority | None = None
    """Left out: what each provider does by itself."""
    apns: ApnsOptions = field(default_factory=ApnsOptions)
    fcm: FcmOptions = field(default_factory=FcmOptions)
    webpush: WebPushOptions = field(default_factory=WebPushOptions)
    telegram: TelegramOptions = field(default_factory=TelegramOptions)
    discord: DiscordOptions = field(default_factory=DiscordOptions)
    webhook: WebhookOptions = field(default_factory=WebhookOptions)
    options: Mapping[str, JsonObject] = field(default_factory=dict)
    """By name, those of channels that other packages add; what may stand there is in their documentation."""
