"""APNs' closed vocabulary: each reason it gives, and what that asks for. `docs/reasons.md` is drawn from this table.

Rules: only an exact (status, reason) may drop an address; what isn't in the table is sent again.
"""

from __future__ import annotations

from types import MappingProxyType

from stentor.outcome import Scope, Verdict
from stentor.providers.contract import Rule

_ADDRESS, _MESSAGE, _LANE = Scope.ADDRESS, Scope.MESSAGE, Scope.LANE
_DROP, _FIX, _STOP, _RETRY = Verdict.DROP, Verdict.FIX, Verdict.STOP, Verdict.RETRY
QUARTER_HOUR = 900.0
"""Apple wants a failed push repeated from 15 minutes on."""

TABLE = (
    Rule(400, "BadCollapseId", _FIX, _MESSAGE, "The collapse id is longer than 64 bytes."),
    Rule(
        400,
        "BadDeviceToken",
        _DROP,
        _ADDRESS,
        "Not a token of this environment. If all get it, sandbox and production are mixed up.",
        stop_if_all=True,
    ),
    Rule(400, "BadExpirationDate", _FIX, _MESSAGE, "The expiration isn't a time in seconds."),
    Rule(400, "BadMessageId", _FIX, _MESSAGE, "The apns-id isn't a UUID: a bug in the sender."),
    Rule(400, "BadPriority", _FIX, _MESSAGE, "The priority isn't 10, 5 or 1."),
    Rule(400, "BadTopic", _STOP, _LANE, "The topic is wrong: check the app's bundle id."),
    Rule(
        400,
        "DeviceTokenNotForTopic",
        _DROP,
        _ADDRESS,
        "The token belongs to another app. If all get it, the topic is wrong.",
        stop_if_all=True,
    ),
    Rule(400, "DuplicateHeaders", _FIX, _MESSAGE, "A header was sent twice: a bug in the sender."),
    Rule(400, "IdleTimeout", Verdict.RECONNECT, Scope.CONNECTION, "The connection was idle for too long."),
    Rule(400, "InvalidPushType", _FIX, _MESSAGE, "The push type is unknown or doesn't fit the topic or the payload."),
    Rule(400, "MissingDeviceToken", _FIX, _MESSAGE, "The path has no token: a bug in the sender."),
    Rule(400, "MissingTopic", _STOP, _LANE, "No topic was sent, and the certificate has several."),
    Rule(400, "PayloadEmpty", _FIX, _MESSAGE, "There was no payload."),
    Rule(400, "TopicDisallowed", _STOP, _LANE, "The key or certificate may not push to this topic."),
    Rule(403, "BadCertificate", _STOP, _LANE, "The certificate is not valid."),
    Rule(403, "BadCertificateEnvironment", _STOP, _LANE, "The certificate is for the other environment."),
    Rule(403, "BadEnvironmentKeyIdInToken", _STOP, _LANE, "The key is for the other environment."),
    Rule(403, "BadEnvironmentKeyInToken", _STOP, _LANE, "The same, as it has been seen on the wire."),
    Rule(
        403,
        "ExpiredProviderToken",
        Verdict.REFRESH,
        Scope.CREDENTIAL,
        "The provider token is older than an hour. If a new one is too, this machine's clock is wrong.",
    ),
    Rule(403, "Forbidden", _STOP, _LANE, "The key or certificate may not do this."),
    Rule(
        403, "InvalidProviderToken", _STOP, _LANE, "The signature, key id or team id is wrong, or the key was revoked."
    ),
    Rule(403, "MissingProviderToken", _STOP, _LANE, "No provider token was sent, and no certificate is in use."),
    Rule(
        403,
        "UnrelatedKeyIdInToken",
        Verdict.RECONNECT,
        Scope.CONNECTION,
        "The connection was opened with an unrelated key; this one needs a connection of its own.",
    ),
    Rule(404, "BadPath", _FIX, _MESSAGE, "The path is wrong: a bug in the sender."),
    Rule(405, "MethodNotAllowed", _FIX, _MESSAGE, "The method isn't POST: a bug in the sender."),
    Rule(410, "ExpiredToken", _DROP, _ADDRESS, "The token has expired. Kept if it was registered again since."),
    Rule(410, "Unregistered", _DROP, _ADDRESS, "The app was removed. Kept if it was registered again since."),
    Rule(413, "PayloadTooLarge", _FIX, _MESSAGE, "The payload is too large."),
    Rule(
        429,
        "TooManyProviderTokenUpdates",
        _RETRY,
        Scope.CREDENTIAL,
        "The provider token changed too often: the one before is used again, and none is made for 20 minutes.",
        wait=60.0,
    ),
    Rule(429, "TooManyRequests", _RETRY, _ADDRESS, "Too many pushes to this device.", wait=60.0),
    Rule(500, "InternalServerError", _RETRY, _ADDRESS, "Apple's servers failed.", wait=QUARTER_HOUR),
    Rule(503, "ServiceUnavailable", _RETRY, _ADDRESS, "Apple's servers are overloaded.", wait=QUARTER_HOUR),
    Rule(503, "Shutdown", Verdict.RECONNECT, Scope.CONNECTION, "This server of Apple's is shutting down."),
)

RULES = MappingProxyType({(rule.status, rule.reason): rule for rule in TABLE})
BY_REASON = MappingProxyType({rule.reason: rule for rule in TABLE})
