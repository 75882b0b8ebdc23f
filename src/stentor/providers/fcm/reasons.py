"""FCM's closed vocabulary: each reason it gives, and what that asks for. `docs/reasons.md` is drawn from this table.

A reason is the `errorCode` of an answer's FcmError detail, else the `reason` of its ErrorInfo, else its `status`; one
that has to be told apart further has what tells it after a colon. Rules: only an exact (status, reason) may drop an
address; what isn't in the table is sent again.
"""

from __future__ import annotations

from types import MappingProxyType

from stentor.outcome import Scope, Verdict
from stentor.providers.contract import Rule

_ADDRESS, _MESSAGE, _LANE = Scope.ADDRESS, Scope.MESSAGE, Scope.LANE
_DROP, _FIX, _STOP, _RETRY = Verdict.DROP, Verdict.FIX, Verdict.STOP, Verdict.RETRY
MINUTE = 60.0
"""Google wants a minute's wait after a 429 that names no other."""
SHORTEST = 10.0
"""Google wants ten seconds before any repetition."""

_KEY_OF_ANOTHER = (
    "The project's APNs key or web push key is missing or wrong: only Apple devices, or only browsers, are concerned."
)
_ACCESS_TOKEN = "The access token is wrong or has expired. If a new one is too, check the service account."

TABLE = (
    Rule(400, "INVALID_ARGUMENT", _FIX, _MESSAGE, "A field of the message is wrong, or it is too large."),
    Rule(400, "INVALID_ARGUMENT:token", _DROP, _ADDRESS, "Not a registration token; it was cut or changed."),
    Rule(401, "ACCESS_TOKEN_EXPIRED", Verdict.REFRESH, Scope.CREDENTIAL, _ACCESS_TOKEN),
    Rule(401, "APNS_AUTH_ERROR", _STOP, Scope.PLATFORM, _KEY_OF_ANOTHER),
    Rule(401, "THIRD_PARTY_AUTH_ERROR", _STOP, Scope.PLATFORM, _KEY_OF_ANOTHER),
    Rule(401, "UNAUTHENTICATED", Verdict.REFRESH, Scope.CREDENTIAL, _ACCESS_TOKEN),
    Rule(
        403,
        "PERMISSION_DENIED",
        _STOP,
        _LANE,
        "The API is not enabled in the project, or the service account may not send.",
    ),
    Rule(
        403,
        "SENDER_ID_MISMATCH",
        _DROP,
        _ADDRESS,
        "The token belongs to another project. If all get it, the project is wrong.",
        stop_if_all=True,
    ),
    Rule(404, "NOT_FOUND", _STOP, _LANE, "The project doesn't exist, or the address of the service is wrong."),
    Rule(404, "UNREGISTERED", _DROP, _ADDRESS, "The app was removed, or its token has expired."),
    Rule(429, "QUOTA_EXCEEDED", _RETRY, _LANE, "The project's quota is used up.", wait=MINUTE),
    Rule(429, "QUOTA_EXCEEDED:device", _RETRY, _ADDRESS, "Too many messages to this device.", wait=MINUTE),
    Rule(429, "QUOTA_EXCEEDED:topic", _RETRY, _ADDRESS, "Too many messages to this topic.", wait=MINUTE),
    Rule(429, "RATE_LIMIT_EXCEEDED", _RETRY, _LANE, "The project's quota a minute is used up.", wait=MINUTE),
    Rule(429, "RESOURCE_EXHAUSTED", _RETRY, _LANE, "A quota is used up; the answer doesn't say which.", wait=MINUTE),
    Rule(500, "INTERNAL", _RETRY, _ADDRESS, "Google's servers failed.", wait=SHORTEST),
    Rule(502, "BAD_GATEWAY", _RETRY, _ADDRESS, "A proxy had no answer from Google's servers.", wait=SHORTEST),
    Rule(503, "UNAVAILABLE", _RETRY, _LANE, "Google's servers are overloaded.", wait=SHORTEST),
    Rule(504, "DEADLINE_EXCEEDED", _RETRY, _ADDRESS, "Google's servers took too long.", wait=SHORTEST),
)

RULES = MappingProxyType({(rule.status, rule.reason): rule for rule in TABLE})
BY_STATUS = MappingProxyType(
    {
        401: RULES[401, "UNAUTHENTICATED"],
        429: RULES[429, "RESOURCE_EXHAUSTED"],
        500: RULES[500, "INTERNAL"],
        502: RULES[502, "BAD_GATEWAY"],
        503: RULES[503, "UNAVAILABLE"],
        504: RULES[504, "DEADLINE_EXCEEDED"],
    }
)
"""What a status means where the body says nothing."""
