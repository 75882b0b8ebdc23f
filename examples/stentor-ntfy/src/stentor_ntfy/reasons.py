"""What each of ntfy's answers asks for. The status decides; ntfy's own explanation goes along for people."""

from __future__ import annotations

from types import MappingProxyType

from stentor.outcome import Scope, Verdict
from stentor.providers.contract import Rule

SOON, LATER = 1.0, 60.0

TABLE = (
    Rule(400, "BadRequest", Verdict.FIX, Scope.MESSAGE, "ntfy doesn't understand the message."),
    Rule(401, "Unauthorized", Verdict.STOP, Scope.LANE, "ntfy doesn't know the token in `token_file`."),
    Rule(403, "Forbidden", Verdict.REJECT, Scope.ADDRESS, "The topic is reserved: the token may not write to it."),
    Rule(413, "TooLarge", Verdict.FIX, Scope.MESSAGE, "The message is larger than the server takes."),
    Rule(429, "TooManyRequests", Verdict.RETRY, Scope.LANE, "More than the server takes: set `rate`.", wait=LATER),
    Rule(500, "InternalServerError", Verdict.RETRY, Scope.ADDRESS, "The server failed.", wait=SOON),
    Rule(502, "BadGateway", Verdict.RETRY, Scope.ADDRESS, "A proxy had no answer from the server.", wait=SOON),
    Rule(503, "ServiceUnavailable", Verdict.RETRY, Scope.LANE, "The server is overloaded.", wait=SOON),
    Rule(507, "InsufficientStorage", Verdict.RETRY, Scope.LANE, "The server's disk is full.", wait=LATER),
)
RULES = MappingProxyType({rule.status: rule for rule in TABLE})
