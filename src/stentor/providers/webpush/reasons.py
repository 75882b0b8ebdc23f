"""What push services answer, and what that asks for. `docs/reasons.md` is drawn from this table.

Each vendor has a dialect: Mozilla an `errno` in JSON, Apple a `reason` in JSON, Chrome's a sentence, others a bare
status. `classify` finds the row. Rules: only an exact row may drop an address; a page of HTML is nobody's word;
what isn't in the table is sent again. An answer never reaches further than its recipient or its message, except where
it would be the same from every service: one vendor's trouble must not stop the others.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Any

from stentor.outcome import Scope, Verdict
from stentor.providers.contract import WEB_PAGE, Rule, json_object, text

_ADDRESS, _MESSAGE, _PLATFORM, _CONNECTION = Scope.ADDRESS, Scope.MESSAGE, Scope.PLATFORM, Scope.CONNECTION
_DROP, _FIX, _STOP, _RETRY, _REJECT = Verdict.DROP, Verdict.FIX, Verdict.STOP, Verdict.RETRY, Verdict.REJECT

_OTHER_KEY = "The browser was subscribed with another VAPID key. If all get it, `private_key_file` is the wrong one."
_BUG = "a bug in the sender."

TABLE = (
    Rule(400, "BadTtl", _FIX, _MESSAGE, "Apple: the TTL isn't a number of seconds."),
    Rule(400, "BadUrgency", _FIX, _MESSAGE, "Apple: the urgency is not one of the four words."),
    Rule(400, "BadWebPushRequest", _FIX, _MESSAGE, f"Apple cannot read the request: {_BUG}"),
    Rule(400, "BadWebPushTopic", _FIX, _MESSAGE, "Apple does not accept this topic."),
    Rule(400, "UnauthorizedRegistration", _DROP, _ADDRESS, f"Old Chrome: {_OTHER_KEY}", stop_if_all=True),
    Rule(400, "VapidPkHashMismatch", _DROP, _ADDRESS, f"Apple: {_OTHER_KEY}", stop_if_all=True),
    Rule(400, "errno101", _FIX, _MESSAGE, f"Mozilla: the encryption's headers are missing: {_BUG}"),
    Rule(400, "errno110", _FIX, _MESSAGE, f"Mozilla: the encryption's headers are wrong: {_BUG}"),
    Rule(400, "errno111", _FIX, _MESSAGE, f"Mozilla: the TTL is missing: {_BUG}"),
    Rule(400, "errno112", _FIX, _MESSAGE, f"Mozilla: the TTL is not a number: {_BUG}"),
    Rule(400, "errno113", _FIX, _MESSAGE, "Mozilla does not accept this topic."),
    Rule(400, "errno114", _FIX, _MESSAGE, f"Mozilla: the TTL is negative: {_BUG}"),
    Rule(401, "Unauthorized", _STOP, _PLATFORM, "The service does not take the VAPID token: check key and clock."),
    Rule(
        401,
        "errno109",
        _STOP,
        _PLATFORM,
        "Mozilla does not take the VAPID token: check key, subject and clock. It says the same if the key is another.",
    ),
    Rule(403, "BadJwtToken", _STOP, _PLATFORM, "Apple does not take the VAPID token: check subject and clock."),
    Rule(403, "BadVapidPublicKey", _STOP, _PLATFORM, "Apple does not take the VAPID public key."),
    Rule(403, "Forbidden", _STOP, _PLATFORM, "The service does not take the VAPID token: check key and subject."),
    Rule(403, "VapidMismatch", _DROP, _ADDRESS, f"Chrome: {_OTHER_KEY}", stop_if_all=True),
    Rule(403, "VapidPkHashMismatch", _DROP, _ADDRESS, f"Apple: {_OTHER_KEY}", stop_if_all=True),
    Rule(404, "BadPath", _DROP, _ADDRESS, "Apple: the endpoint is not one of its own.", stop_if_all=True),
    Rule(404, "NotFound", _DROP, _ADDRESS, "There is no such subscription any more.", stop_if_all=True),
    Rule(
        404,
        "NotFoundPage",
        _REJECT,
        _ADDRESS,
        "A web page says so, not a push service. If all get it, something between is wrong.",
        stop_if_all=True,
    ),
    Rule(404, "errno102", _DROP, _ADDRESS, "Mozilla: the endpoint is not one of its own.", stop_if_all=True),
    Rule(406, "NotAcceptable", _RETRY, _ADDRESS, "Windows: more messages than it takes at a time.", wait=60.0),
    Rule(410, "Gone", _DROP, _ADDRESS, "The browser has unsubscribed."),
    Rule(410, "Unregistered", _DROP, _ADDRESS, "Apple: the browser has unsubscribed."),
    Rule(410, "errno103", _DROP, _ADDRESS, "Mozilla: the subscription has expired."),
    Rule(410, "errno105", _DROP, _ADDRESS, "Mozilla: the browser is gone."),
    Rule(410, "errno106", _DROP, _ADDRESS, "Mozilla: the browser has unsubscribed."),
    Rule(413, "PayloadTooLarge", _FIX, _MESSAGE, "Apple: the message is too large."),
    Rule(413, "TooLarge", _FIX, _MESSAGE, "The message is too large."),
    Rule(413, "errno104", _FIX, _MESSAGE, "Mozilla: too large; some phones take only about 2,700 bytes."),
    Rule(429, "TooManyRequests", _RETRY, _ADDRESS, "Too many messages to this browser.", wait=60.0),
    Rule(500, "InternalError", _RETRY, _ADDRESS, "The push service failed.", wait=10.0),
    Rule(500, "errno999", _RETRY, _ADDRESS, "Mozilla's servers failed.", wait=10.0),
    Rule(502, "BadGateway", _RETRY, _ADDRESS, "The push service failed.", wait=10.0),
    *(
        Rule(502, f"errno{number}", _RETRY, _ADDRESS, "A phone's own push service failed Mozilla.", wait=30.0)
        for number in (900, 901, 902, 903)
    ),
    Rule(503, "Unavailable", _RETRY, _ADDRESS, "The push service is overloaded.", wait=30.0),
    Rule(503, "errno201", _RETRY, _ADDRESS, "Mozilla's servers are overloaded.", wait=30.0),
    Rule(503, "errno202", _RETRY, _ADDRESS, "Mozilla's servers stumbled; it may be tried again at once.", wait=1.0),
    Rule(504, "GatewayTimeout", _RETRY, _ADDRESS, "The push service failed.", wait=10.0),
)
OURS = (
    Rule(0, "ForbiddenEndpoint", _REJECT, _ADDRESS, "Its endpoint is in a private network, or not of `allowed_hosts`."),
    Rule(0, "OriginResting", Verdict.WAIT, _CONNECTION, "This push service could not be reached; the others go on."),
    Rule(0, "Redirect", _REJECT, _ADDRESS, "The endpoint redirects (any 3xx), which is never followed."),
    Rule(
        0,
        "ReservedHost",
        _DROP,
        _ADDRESS,
        "Nobody can own the endpoint's host, such as `permanently-removed.invalid`: this is how a browser says"
        " that it is gone.",
    ),
    Rule(0, "TooManyOrigins", Verdict.WAIT, _ADDRESS, "Too many push services at once; its turn comes.", wait=1.0),
    Rule(0, "UnknownHost", Verdict.WAIT, _CONNECTION, "The endpoint's host cannot be resolved.", wait=60.0),
)
"""What we say ourselves, of endpoints that are not asked or not believed."""

ALL = (*TABLE, *OURS)
RULES = MappingProxyType({(rule.status, rule.reason): rule for rule in ALL})
_BY_STATUS = MappingProxyType(
    {
        401: "Unauthorized",
        403: "Forbidden",
        404: "NotFound",
        406: "NotAcceptable",
        410: "Gone",
        413: "TooLarge",
        429: "TooManyRequests",
        500: "InternalError",
        502: "BadGateway",
        503: "Unavailable",
        504: "GatewayTimeout",
    }
)
_BACK_OFF = range(500, 600)
_OTHER_VAPID_KEY = re.compile(rb"vapid credentials.{0,80}(correspond|match)", re.IGNORECASE | re.DOTALL)


def ours(reason: str) -> Rule:
    """The row of something that we say ourselves."""
    return RULES[0, reason]


def classify(status: int, body: bytes) -> tuple[str, Rule | None, str]:
    """The reason of a refusal, its row, and the service's explanation; no row for what the table doesn't know."""
    if 300 <= status < 400:
        return "Redirect", ours("Redirect"), ""
    found = json_object(body)
    if found is not None:
        reason = _named(found)
        if reason:
            detail = text(found.get("message"))
            return reason, RULES.get((status, reason)) or _generic(status, reason), detail
    elif status == 400 and b"UnauthorizedRegistration" in body:
        return "UnauthorizedRegistration", RULES[400, "UnauthorizedRegistration"], ""
    elif status in (400, 403) and _OTHER_VAPID_KEY.search(body):
        return "VapidMismatch", RULES[403, "VapidMismatch"], ""
    page = WEB_PAGE.match(body) is not None
    if page and status == 404:
        return "NotFoundPage", RULES[404, "NotFoundPage"], ""
    if page and status not in _BACK_OFF:
        return "", None, ""
    generic = _BY_STATUS.get(status, "")
    explanation = "" if page or found is not None else text(body[:200].decode("utf-8", "replace"))
    return generic, RULES.get((status, generic)), explanation


def _named(found: dict[str, Any]) -> str:
    number = found.get("errno")
    if isinstance(number, int) and not isinstance(number, bool):
        return f"errno{number}"
    return text(found.get("reason"))


def _generic(status: int, reason: str) -> Rule | None:
    """The row of a status alone, for a reason that isn't known: only where it asks for patience or for help."""
    name = _BY_STATUS.get(status, "")
    rule = RULES.get((status, name))
    return (
        None
        if rule is None or rule.verdict in (_DROP, _FIX)
        else Rule(status, reason, rule.verdict, rule.scope, rule.meaning, rule.wait)
    )
