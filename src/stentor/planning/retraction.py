"""What a campaign sends to take another's message back, or to put a better one in its place. Pure.

Rules: it goes under the same key as the message that it concerns, so that providers and devices put it in its place;
who saw nothing yet sees nothing. Without a better message, it is one that shows nothing and tells the app which
notification to remove (docs/undo.md has the code for that).
"""

from __future__ import annotations

from dataclasses import replace

from stentor.errors import InvalidMessage
from stentor.model import Action, ApnsOptions, Message, Priority, WebPushOptions
from stentor.planning.content import Content

RETRACT = "stentor-retract"
"""The key in a message's data that names the notification to remove: what it collapses by."""


def retraction(content: Content, collapse_id: str) -> Content:
    """Tells apps to remove what this content showed; deletes it where it can be deleted.

    Args:
        collapse_id: the campaign's, which serves where the message has no key of its own.
    """
    message = content.message
    tag = message.apns.collapse_id or message.collapse_key or collapse_id
    silent = Message(
        silent=True,
        data={RETRACT: tag},
        collapse_key=message.collapse_key,
        ttl=message.ttl,
        priority=Priority.NORMAL,
        apns=ApnsOptions(collapse_id=message.apns.collapse_id, topic=message.apns.topic),
        webpush=WebPushOptions(tag=message.webpush.tag, topic=message.webpush.topic),
    )
    return Content(message=silent, action=Action.UNDO)


def correction(content: Content, better: Content, action: Action) -> Content:
    """`better` in the place of what this content showed.

    Raises: InvalidMessage: it has a key of its own, under which it would be shown beside the other.
    """
    message, old = better.message, content.message
    for name, given, wanted in (
        ("collapse_key", message.collapse_key, old.collapse_key),
        ("apns.collapse_id", message.apns.collapse_id, old.apns.collapse_id),
        ("webpush.tag", message.webpush.tag, old.webpush.tag),
        ("webpush.topic", message.webpush.topic, old.webpush.topic),
    ):
        if given is not None and given != wanted:
            problem = f"is {given!r}, and the message that it replaces has {wanted!r}" if wanted else "must be left out"
            raise InvalidMessage(name, f"{problem}; a message replaces another one of the same key alone")
    message = replace(
        message,
        collapse_key=old.collapse_key,
        apns=replace(message.apns, collapse_id=old.apns.collapse_id),
        webpush=replace(message.webpush, tag=old.webpush.tag, topic=old.webpush.topic),
    )
    return replace(better, message=message, action=action)
