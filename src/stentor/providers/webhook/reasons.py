"""What a webhook's answers ask for. `docs/reasons.md` is drawn from this table.

Rules: the status alone decides, as bodies are anybody's; only a 410 drops an address, as Standard Webhooks has it.
The table is for a gateway, whose settings are ours. Where each recipient has a URL of its own, one says nothing about
another (`for_one`): what stops a lane or finds fault with a message rejects that recipient, and its 429 is its own.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from stentor.outcome import Scope, Verdict
from stentor.providers.contract import Answer, Rule

_ADDRESS, _MESSAGE, _LANE = Scope.ADDRESS, Scope.MESSAGE, Scope.LANE
_DROP, _FIX, _STOP, _RETRY = Verdict.DROP, Verdict.FIX, Verdict.STOP, Verdict.RETRY
SOON = 1.0
OVERLOADED = 5.0
"""Seconds to wait after a 429 or 503 that names no time."""

TABLE = (
    Rule(
        300,
        "Redirected",
        _STOP,
        _LANE,
        "It answers with a redirect, which is not followed: set `target` to the new address.",
    ),
    Rule(400, "BadRequest", _FIX, _MESSAGE, "The gateway doesn't understand the message, or not this recipient's."),
    Rule(
        401,
        "Unauthorized",
        _STOP,
        _LANE,
        "The gateway doesn't take the signature: compare `secret_file` with its secret.",
    ),
    Rule(403, "Forbidden", _STOP, _LANE, "The gateway doesn't let us post: compare `secret_file` with its secret."),
    Rule(404, "NotFound", _STOP, _LANE, "Nothing takes messages there: correct the path of `target`."),
    Rule(405, "MethodNotAllowed", _STOP, _LANE, "Nothing takes a POST there: correct the path of `target`."),
    Rule(408, "RequestTimeout", _RETRY, _ADDRESS, "The request came too slowly.", wait=SOON),
    Rule(
        410,
        "Gone",
        _DROP,
        _ADDRESS,
        "The address wants no more messages. If all get it, the gateway itself is gone.",
        stop_if_all=True,
    ),
    Rule(413, "ContentTooLarge", _FIX, _MESSAGE, "The message is larger than the gateway takes."),
    Rule(422, "UnprocessableContent", _FIX, _MESSAGE, "The gateway can do nothing with the message."),
    Rule(425, "TooEarly", _RETRY, _ADDRESS, "It is to be sent again.", wait=SOON),
    Rule(429, "TooManyRequests", _RETRY, _LANE, "More than the gateway takes; set the app's `rate`.", wait=OVERLOADED),
    Rule(500, "InternalServerError", _RETRY, _ADDRESS, "The gateway failed.", wait=SOON),
    Rule(502, "BadGateway", _RETRY, _ADDRESS, "A proxy had no answer from the gateway.", wait=SOON),
    Rule(503, "ServiceUnavailable", _RETRY, _LANE, "The gateway is overloaded, or under repair.", wait=OVERLOADED),
    Rule(504, "GatewayTimeout", _RETRY, _ADDRESS, "The gateway took too long for the proxy before it.", wait=SOON),
)
RULES = MappingProxyType({rule.status: rule for rule in TABLE})


def for_one(answer: Answer) -> Answer:
    """An answer that concerns nobody but the recipient whose own URL gave it."""
    verdict = Verdict.REJECT if answer.verdict in (Verdict.STOP, Verdict.FIX) else answer.verdict
    return replace(answer, verdict=verdict, scope=Scope.ADDRESS, stop_if_all=False)
