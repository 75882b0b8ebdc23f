"""FCM's error answers, in each of their shapes: with FcmError, with ErrorInfo, with neither. Pure."""

from __future__ import annotations

import json
from typing import Any

from stentor.simulators.request_headers import Header
from stentor.simulators.world import Judgement

_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_QUOTA_FAILURE = "type.googleapis.com/google.rpc.QuotaFailure"

JSON_HEADER: Header = (b"content-type", b"application/json; charset=UTF-8")
STATUS_HEADERS = {
    status: (b":status", str(status).encode()) for status in (200, 400, 401, 403, 404, 405, 429, 500, 502, 503)
}

Details = list[dict[str, Any]]


def failure(
    code: int,
    status: str,
    message: str,
    *,
    details: Details | None = None,
    reason: str = "",
    extra: list[Header] | None = None,
    address: str = "",
) -> Judgement:
    """An error in Google's common shape."""
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    if details:
        error["details"] = details
    body = json.dumps({"error": error}).encode()
    return Judgement([STATUS_HEADERS[code], JSON_HEADER, *(extra or ())], body, reason or status, address=address)


def fcm_error(code: str) -> dict[str, Any]:
    return {"@type": _FCM_ERROR, "errorCode": code}


def bad_field(field: str, description: str) -> dict[str, Any]:
    return {"@type": _BAD_REQUEST, "fieldViolations": [{"field": field, "description": description}]}


def unregistered(address: str) -> Judgement:
    return failure(
        404,
        "NOT_FOUND",
        "Requested entity was not found.",
        details=[fcm_error("UNREGISTERED")],
        reason="UNREGISTERED",
        address=address,
    )


def malformed_token(address: str) -> Judgement:
    text = "The registration token is not a valid FCM registration token"
    details = [fcm_error("INVALID_ARGUMENT"), bad_field("message.token", text)]
    return failure(400, "INVALID_ARGUMENT", text, details=details, reason="INVALID_TOKEN", address=address)


def sender_mismatch(address: str) -> Judgement:
    return failure(
        403,
        "PERMISSION_DENIED",
        "SenderId mismatch",
        details=[fcm_error("SENDER_ID_MISMATCH")],
        reason="SENDER_ID_MISMATCH",
        address=address,
    )


def third_party_auth(address: str) -> Judgement:
    return failure(
        401,
        "UNAUTHENTICATED",
        "Auth error from APNS or Web Push Service",
        details=[fcm_error("THIRD_PARTY_AUTH_ERROR")],
        reason="THIRD_PARTY_AUTH_ERROR",
        address=address,
    )


def permission_denied(project: str) -> Judgement:
    resource = f"//cloudresourcemanager.googleapis.com/projects/{project}"
    text = f"Permission 'cloudmessaging.messages.create' denied on resource '{resource}' (or it may not exist)."
    return failure(403, "PERMISSION_DENIED", text)


def unauthenticated(why: str) -> Judgement:
    text = (
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
        "authentication credential."
    )
    details = [
        {"@type": _ERROR_INFO, "reason": why, "domain": "googleapis.com", "metadata": {"service": "fcm.googleapis.com"}}
    ]
    return failure(401, "UNAUTHENTICATED", text, details=details)


def device_quota(address: str, extra: list[Header]) -> Judgement:
    """429 for one device, in the documented shape."""
    violation = {"subject": "device", "description": "Message rate exceeded for this device."}
    details = [fcm_error("QUOTA_EXCEEDED"), {"@type": _QUOTA_FAILURE, "violations": [violation]}]
    return failure(
        429,
        "RESOURCE_EXHAUSTED",
        "Quota exceeded.",
        details=details,
        reason="QUOTA_EXCEEDED",
        extra=extra,
        address=address,
    )


def project_quota(project: str, address: str, extra: list[Header]) -> Judgement:
    """429 for the whole project, in the shape seen in the field: ErrorInfo, and no FcmError."""
    metadata = {
        "consumer": f"projects/{project}",
        "quota_limit": "SendsPerMinutePerProject",
        "quota_metric": "fcm.googleapis.com/send_requests",
        "service": "fcm.googleapis.com",
    }
    info = {"@type": _ERROR_INFO, "reason": "RATE_LIMIT_EXCEEDED", "domain": "googleapis.com", "metadata": metadata}
    return failure(
        429,
        "RESOURCE_EXHAUSTED",
        "Quota exceeded for quota metric 'Send requests' and limit 'Send requests per minute' of service "
        f"'fcm.googleapis.com' for consumer 'projects/{project}'.",
        details=[info],
        reason="RATE_LIMIT_EXCEEDED",
        extra=extra,
        address=address,
    )


def unavailable(code: int, address: str, extra: list[Header]) -> Judgement:
    if code == 500:
        text, status, detail = "Internal error encountered.", "INTERNAL", "INTERNAL"
    else:
        text, status, detail = "The service is currently unavailable.", "UNAVAILABLE", "UNAVAILABLE"
    return failure(code, status, text, details=[fcm_error(detail)], extra=extra, address=address)


def invalid_argument(field: str, description: str, address: str = "") -> Judgement:
    return failure(400, "INVALID_ARGUMENT", description, details=[bad_field(field, description)], address=address)


def too_big(limit: int, address: str) -> Judgement:
    """The shape that has no field violation, so that it can't be told from other bad messages but by its text."""
    text = f"Message payload is too big: at most {limit} bytes"
    return failure(400, "INVALID_ARGUMENT", text, details=[fcm_error("INVALID_ARGUMENT")], address=address)
