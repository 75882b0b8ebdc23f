"""The reasons that Stentor itself gives, beside its providers': what each means, and whether anything was sent. Pure.

docs/campaigns.md has the same list; a test compares the two.
"""

from __future__ import annotations

from types import MappingProxyType

SKIPPED = "Skipped"
"""The reason of those for whom a template of the message says `skip`."""
OPTED_OUT, EXCLUDED, CAPPED = "OptedOut", "Excluded", "Capped"
"""The reasons of those who said no, who are on a list or had another campaign, and who had enough already."""
MEANINGS = MappingProxyType(
    {
        "Capped": "The recipient got as many messages already as a frequency cap allows.",
        "DeadLetter": "The batch was put aside, as nobody could read it, every sender that took it crashed, or its"
        " outcomes could not be recorded.",
        "Excluded": "The recipient is on an exclusion list of the campaign, or was reached by a campaign that it"
        " names.",
        "ForbiddenHost": "The address leads to a host that may not be sent to, such as one in a private network.",
        "Gone": "The batch was lost with the queue's storage, and the recipient is no longer in the audience. It is"
        " unknown whether the message was sent before.",
        "Interrupted": "The sender process crashed just before or just after it sent this message.",
        "InvalidMessage": "The message cannot be rendered with the app's options or the recipient's values.",
        "Lifetime": "The recipient waited in the queue until the message's lifetime was over.",
        "MalformedAddress": "The address isn't one of this provider. Correct it in the audience.",
        "MovedTwice": "The address moved to another one, and that one moved again.",
        "NoAddress": "There is no address, or no record of the message that was to be changed.",
        "NoAnswer": "The message was sent, and the connection broke before the answer came.",
        "NoLane": "The recipient's channel or app isn't configured. Add it under [apps.NAME].",
        "NotProcessed": "The provider's server closed the connection before it looked at the message.",
        "OptedOut": "The recipient said no to the campaign's category, or to all messages.",
        "Pace": "The recipient waited for its turn within a rate until it was too late.",
        "PayloadTooLarge": "With the recipient's own values, the message is larger than the provider allows.",
        "Skipped": "A template of the message says that this recipient gets nothing.",
        "TemplateError": "A template of the message failed for this recipient, e.g. because a value is missing.",
        "TooLarge": "With the recipient's own values, the message is too large for a batch.",
        "UnreadableRow": "Something in the recipient's row cannot be read.",
        "Unrecordable": "The recipient has this outcome, but the database could not store its details.",
        "unreadable": "The answer isn't the provider's own, or nothing that Stentor understands.",
    }
)
"""In a sentence or two, by reason."""
_UNSENT = frozenset(
    {
        *("ForbiddenHost", "InvalidMessage", "MalformedAddress", "NoAddress", "NoLane", "PayloadTooLarge"),
        *("Skipped", "TemplateError", "TooLarge", "UnreadableRow", OPTED_OUT, EXCLUDED, CAPPED),
    }
)
"""Those that are found before anything is sent."""


LEFT_OUT = frozenset({SKIPPED, OPTED_OUT, EXCLUDED, CAPPED})
"""The reasons of those who got nothing by a rule that somebody made. Nothing failed, so that a retry leaves them out,
too, unless it asks for them."""


def sent(reason: str, status: int, tries: int) -> int:
    """How often a recipient was really sent to that ended for a reason.

    Args:
        status: of the provider's last answer; 0: there was none.
        tries: as recorded, which counts the one that ended before anything was sent.
    """
    return max(0, tries - 1) if reason in _UNSENT and not status else tries
