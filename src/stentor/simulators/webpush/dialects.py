"""The words in which each vendor refuses: status, headers and body for the same trouble, as far as they are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from types import MappingProxyType

from stentor.simulators.request_headers import Header


class Trouble(StrEnum):
    """What can be wrong with a request, in the order in which it is looked at."""

    METHOD = "method"
    NO_TOKEN = "no token"
    BAD_TOKEN = "bad token"
    UNKNOWN = "unknown subscription"
    OTHER_KEY = "other key"
    GONE = "gone"
    EXPIRED = "expired"
    NO_TTL = "no ttl"
    BAD_TTL = "bad ttl"
    BAD_URGENCY = "bad urgency"
    BAD_TOPIC = "bad topic"
    TOO_LARGE = "too large"
    BAD_CRYPTO = "bad crypto"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"
    NO_MESSAGE = "no message"


Refusal = tuple[int, list[Header], bytes]
Dialect = Callable[[Trouble], Refusal]

_JSON: Header = (b"content-type", b"application/json")
_TEXT: Header = (b"content-type", b"text/plain; charset=utf-8")

_MOZILLA = MappingProxyType(
    {
        Trouble.METHOD: (405, 999, "Method Not Allowed"),
        Trouble.NO_TOKEN: (401, 109, "Unauthorized"),
        Trouble.BAD_TOKEN: (401, 109, "Unauthorized"),
        Trouble.UNKNOWN: (404, 102, "Not Found"),
        Trouble.OTHER_KEY: (401, 109, "Unauthorized"),
        Trouble.GONE: (410, 106, "Gone"),
        Trouble.EXPIRED: (410, 103, "Gone"),
        Trouble.NO_TTL: (400, 111, "Bad Request"),
        Trouble.BAD_TTL: (400, 112, "Bad Request"),
        Trouble.BAD_URGENCY: (400, 999, "Bad Request"),
        Trouble.BAD_TOPIC: (400, 113, "Bad Request"),
        Trouble.TOO_LARGE: (413, 104, "Payload Too Large"),
        Trouble.BAD_CRYPTO: (400, 110, "Bad Request"),
        Trouble.THROTTLED: (429, 201, "Too Many Requests"),
        Trouble.UNAVAILABLE: (503, 201, "Service Unavailable"),
        Trouble.FAILED: (500, 999, "Internal Server Error"),
        Trouble.NO_MESSAGE: (404, 102, "Not Found"),
    }
)
_FCM = MappingProxyType(
    {
        Trouble.METHOD: (405, "method not allowed"),
        Trouble.NO_TOKEN: (401, "authorization header is missing or has no vapid token."),
        Trouble.BAD_TOKEN: (403, "invalid JWT provided"),
        Trouble.UNKNOWN: (404, "push subscription has unsubscribed or expired."),
        Trouble.OTHER_KEY: (
            403,
            "the VAPID credentials in the authorization header do not correspond to the credentials used to create the"
            " subscriptions.",
        ),
        Trouble.GONE: (410, "push subscription has unsubscribed or expired."),
        Trouble.EXPIRED: (404, "push subscription has unsubscribed or expired."),
        Trouble.NO_TTL: (400, "TTL header is missing"),
        Trouble.BAD_TTL: (400, "TTL header is invalid"),
        Trouble.BAD_URGENCY: (400, "Urgency header is invalid"),
        Trouble.BAD_TOPIC: (400, "Topic header is invalid"),
        Trouble.TOO_LARGE: (413, "payload too large"),
        Trouble.BAD_CRYPTO: (400, "crypto headers are invalid"),
        Trouble.THROTTLED: (429, "quota exceeded"),
        Trouble.UNAVAILABLE: (503, "service unavailable"),
        Trouble.FAILED: (500, "internal error"),
        Trouble.NO_MESSAGE: (405, "method not allowed"),
    }
)
_APPLE = MappingProxyType(
    {
        Trouble.METHOD: (405, "MethodNotAllowed"),
        Trouble.NO_TOKEN: (403, "BadJwtToken"),
        Trouble.BAD_TOKEN: (403, "BadJwtToken"),
        Trouble.UNKNOWN: (404, "BadPath"),
        Trouble.OTHER_KEY: (400, "VapidPkHashMismatch"),
        Trouble.GONE: (410, "Unregistered"),
        Trouble.EXPIRED: (410, "Unregistered"),
        Trouble.NO_TTL: (400, "BadTtl"),
        Trouble.BAD_TTL: (400, "BadTtl"),
        Trouble.BAD_URGENCY: (400, "BadUrgency"),
        Trouble.BAD_TOPIC: (400, "BadWebPushTopic"),
        Trouble.TOO_LARGE: (413, "PayloadTooLarge"),
        Trouble.BAD_CRYPTO: (400, "BadWebPushRequest"),
        Trouble.THROTTLED: (429, "TooManyRequests"),
        Trouble.UNAVAILABLE: (503, "ServiceUnavailable"),
        Trouble.FAILED: (500, "InternalServerError"),
        Trouble.NO_MESSAGE: (405, "MethodNotAllowed"),
    }
)


_WINDOWS = MappingProxyType(
    {
        Trouble.METHOD: (405, "Method not allowed."),
        Trouble.NO_TOKEN: (401, "Authorization is missing."),
        Trouble.BAD_TOKEN: (401, "Authorization is invalid."),
        Trouble.UNKNOWN: (404, "Channel URL is invalid."),
        Trouble.OTHER_KEY: (403, "Authorization is for another channel."),
        Trouble.GONE: (410, "Channel has expired."),
        Trouble.EXPIRED: (410, "Channel has expired."),
        Trouble.NO_TTL: (400, "Ttl is missing."),
        Trouble.BAD_TTL: (400, "Ttl value conflicts with X-WNS-Cache-Policy."),
        Trouble.BAD_URGENCY: (400, "Urgency is invalid."),
        Trouble.BAD_TOPIC: (400, "Topic is invalid."),
        Trouble.TOO_LARGE: (413, "Payload is too large."),
        Trouble.BAD_CRYPTO: (400, "Content-Encoding is invalid."),
        Trouble.THROTTLED: (406, "Throttle limit is exceeded."),
        Trouble.UNAVAILABLE: (503, "Service is unavailable."),
        Trouble.FAILED: (500, "Internal error."),
        Trouble.NO_MESSAGE: (405, "Method not allowed."),
    }
)
"""Of Windows' own sentences only that of `BAD_TTL` is known (pywebpush's issue 162, 2024)."""


def _mozilla(trouble: Trouble) -> Refusal:
    status, errno, error = _MOZILLA[trouble]
    body = {"code": status, "errno": errno, "error": error, "message": f"{trouble}"}
    return status, [_JSON], json.dumps(body, separators=(",", ":")).encode()


def _fcm(trouble: Trouble) -> Refusal:
    status, sentence = _FCM[trouble]
    return status, [_TEXT], sentence.encode()


def _apple(trouble: Trouble) -> Refusal:
    status, reason = _APPLE[trouble]
    return status, [_JSON], json.dumps({"reason": reason}, separators=(",", ":")).encode()


def _windows(trouble: Trouble) -> Refusal:
    status, description = _WINDOWS[trouble]
    return status, [(b"x-wns-status", b"dropped"), (b"x-wns-error-description", description.encode())], b""


DIALECTS: MappingProxyType[str, Dialect] = MappingProxyType(
    {"mozilla": _mozilla, "fcm": _fcm, "apple": _apple, "windows": _windows}
)
