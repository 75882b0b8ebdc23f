"""A message to a few recipients, looked up."""

from __future__ import annotations

from starlette.responses import Response

from stentor.access.scopes import Scope
from stentor.dashboard.page import Pages
from stentor.dashboard.places import place
from stentor.dashboard.visit import Visit
from stentor.outcome import Outcome
from stentor.recording.meanings import meaning
from stentor.recording.messages import WAITING, MessageOutcome, RecipientOutcome

pages = Pages()


@pages.get("/messages/{message}", Scope.VIEW)
async def show_message(visit: Visit, message: str) -> Response:
    found = await visit.stentor.messages.get(message)
    return await visit.render(
        "message.html",
        found=found,
        rows=[
            (each, _meaning(each), place("campaigns", message, "explain", installation=each.installation))
            for each in found.recipients
        ],
        counts=_counts(found),
    )


def _counts(found: MessageOutcome) -> dict[str, int]:
    """How many recipients ended how; all of them add up to the recipients."""
    names = [each.name.lower() for each in Outcome if each.is_terminal] + [WAITING]
    return {name: sum(each.outcome == name for each in found.recipients) for name in names}


def _meaning(each: RecipientOutcome) -> str:
    if not each.reason:
        return ""
    outcome = Outcome.PENDING if each.outcome == WAITING else Outcome[each.outcome.upper()]
    return meaning(each.lane or "", each.reason, outcome)
