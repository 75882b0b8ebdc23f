"""What a failure's reason says, in a sentence: for reports, pages and messages alike."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType

from stentor import channels
from stentor.errors import InvalidConfiguration
from stentor.outcome import Outcome
from stentor.own_reasons import MEANINGS

_ENDINGS = MappingProxyType(
    {
        Outcome.EXPIRED: "The message's lifetime ended before the provider took it.",
        Outcome.AMBIGUOUS: "It was sent and never answered; sending it again might have shown it twice.",
    }
)


def meaning(lane: str, reason: str, outcome: Outcome) -> str:
    """What a reason says, in a sentence; empty where it says it itself."""
    told = _meanings(lane.partition("/")[0]).get(reason) or MEANINGS.get(reason, "")
    return " ".join(filter(None, (told, _ENDINGS.get(outcome))))


@cache
def _meanings(channel: str) -> dict[str, str]:
    """By reason; of a channel whose package is gone, none."""
    try:
        return {rule.reason: rule.meaning for rule in channels.find(channel).rules()}
    except InvalidConfiguration:
        return {}
