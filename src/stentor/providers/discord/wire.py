"""Discord's REST API on the wire: requests for messages, and what each answer asks for. Pure.

Sources: docs.discord.com/developers, resources/message, resources/webhook, resources/user and topics/rate-limits.
Rules: a bot's message has a nonce that is the same at every try, and Discord answers a second one with the first
message; a webhook's has none, so one that was answered by a failure may be there. An answer from Cloudflare, in front
of Discord, isn't one of Discord's: it says that this IP address is banned. No answer shows an address or a token.
"""

from __future__ import annotations

import math
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import msgspec

from stentor.outcome import Verdict
from stentor.providers.contract import (
    LARGEST_ERROR_BODY,
    LONGEST_RETRY_AFTER,
    UNREADABLE,
    WEB_PAGE,
    Answer,
    Taken,
    json_object,
    text,
    unknown_answer,
)
from stentor.providers.discord.addresses import DiscordChannel, Posted, Webhook, receipt_of
from stentor.providers.discord.buckets import BucketKey, Heard
from stentor.providers.discord.message import Rendered
from stentor.providers.discord.reasons import (
    BANNED,
    BY_CODE,
    BY_REASON,
    FORBIDDEN,
    GLOBAL_LIMIT,
    INVALID_FORM,
    INVALID_RECIPIENT,
    NOT_FOUND_MESSAGE,
    RATE_LIMITED,
    SHARED_LIMIT,
    UNAUTHORIZED,
)
from stentor.providers.http_message import Request, Response

HOST = "https://discord.com"
_API = "/api/v10"
NONCE_BYTES = 18
"""They make a nonce of 24 characters; Discord takes 25."""
OPENING = BucketKey("POST /users/@me/channels", "")
MOST_DELETED_AT_ONCE = 100

_NUMBER = re.compile(r"\d{15,}")
_OURS_ALONE = frozenset({"channel_id", "recipient_id", "user_id", "webhook_id", "webhook_token", "message_id"})
"""Fields of a request that are made of one recipient's address, in an error's tree."""
_DEEPEST = 12
_SHARED = "shared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """Where requests go, and as whom."""

    url: str
    """`https://host`, without a path."""
    token: str | None = field(repr=False)
    """The bot's; None where there are only webhooks."""
    user_agent: str

    def request(self, method: str, path: str, body: bytes = b"", *, as_bot: bool) -> Request:
        headers = {"User-Agent": self.user_agent}
        if body:
            headers["Content-Type"] = "application/json"
        if as_bot:
            headers["Authorization"] = f"Bot {self.token}"
        return Request(method=method, url=f"{self.url}{_API}{path}", body=body, headers=headers)


# -- requests ---------------------------------------------------------------------------------------------------------


def nonce(campaign_id: str, recipient: bytes) -> str:
    """By which Discord knows a second try of the same message for the same recipient."""
    digest = blake2b(b"%s\0%s" % (campaign_id.encode(), recipient), digest_size=NONCE_BYTES, person=b"discord nonce")
    return urlsafe_b64encode(digest.digest()).decode()


def message_request(api: Api, place: DiscordChannel | Webhook, rendered: Rendered, nonce: str) -> Request:
    """Sends a message there."""
    if isinstance(place, DiscordChannel):
        body = rendered.bot + b',"nonce":"%s","enforce_nonce":true}' % nonce.encode()
        return api.request("POST", f"/channels/{place.id}/messages", body, as_bot=True)
    thread = "" if place.thread is None else f"&thread_id={place.thread}"
    path = f"/webhooks/{place.id}/{place.token}?wait=true{thread}"
    return api.request("POST", path, rendered.webhook + b"}", as_bot=False)


def opening_request(api: Api, user_id: str) -> Request:
    """Asks for the channel in which the bot and a user write to each other; there is only one, however often asked."""
    return api.request("POST", "/users/@me/channels", b'{"recipient_id":"%s"}' % user_id.encode(), as_bot=True)


def introduction_request(api: Api) -> Request:
    """Asks who the bot is."""
    return api.request("GET", "/users/@me", as_bot=True)


def edit_request(api: Api, posted: Posted, rendered: Rendered) -> Request:
    """Changes a message that is there."""
    return api.request("PATCH", _path_of(posted), rendered.edit + b"}", as_bot=isinstance(posted.place, DiscordChannel))


def delete_request(api: Api, posted: Posted) -> Request:
    """Deletes a message that is there."""
    return api.request("DELETE", _path_of(posted), as_bot=isinstance(posted.place, DiscordChannel))


def bulk_delete_request(api: Api, channel: DiscordChannel, messages: Sequence[str]) -> Request:
    """Deletes 2 to 100 messages of one channel of a server at once, none of them older than two weeks."""
    assert 2 <= len(messages) <= MOST_DELETED_AT_ONCE
    body = msgspec.json.encode({"messages": messages})
    return api.request("POST", f"/channels/{channel.id}/messages/bulk-delete", body, as_bot=True)


def _path_of(posted: Posted) -> str:
    place = posted.place
    if isinstance(place, DiscordChannel):
        return f"/channels/{place.id}/messages/{posted.message}"
    thread = "" if place.thread is None else f"?thread_id={place.thread}"
    return f"/webhooks/{place.id}/{place.token}/messages/{posted.message}{thread}"


def bucket_of(there: DiscordChannel | Webhook | Posted, method: str = "POST") -> BucketKey:
    """By what the bucket of a request is known."""
    place = there.place if isinstance(there, Posted) else there
    kind = "channels" if isinstance(place, DiscordChannel) else "webhooks"
    return BucketKey(f"{method} /{kind}", place.id)


# -- answers ----------------------------------------------------------------------------------------------------------


def heard(response: Response) -> Heard | None:
    """What the headers say of the request's bucket."""
    headers = response.headers
    try:
        reset_after = float(headers["x-ratelimit-reset-after"])
        limit, remaining = int(headers["x-ratelimit-limit"]), int(headers["x-ratelimit-remaining"])
    except (KeyError, ValueError):
        return None
    if not 0 <= reset_after <= LONGEST_RETRY_AFTER or limit < 1 or remaining < 0:
        return None
    return Heard(
        bucket=headers.get("x-ratelimit-bucket", ""), limit=limit, remaining=remaining, reset_after=reset_after
    )


def is_invalid(response: Response) -> bool:
    """Whether it counts towards a ban of the IP address."""
    if response.status == 429:
        return response.headers.get("x-ratelimit-scope") != _SHARED
    return response.status in (401, 403)


def decode_message(response: Response, place: DiscordChannel | Webhook, now: float) -> Taken | Answer:
    """What became of a message that was sent there."""
    is_webhook = isinstance(place, Webhook)
    if response.status not in (200, 201):
        return refusal(response, is_webhook=is_webhook)
    if len(response.body) >= LARGEST_ERROR_BODY and response.body.startswith(b"{"):
        return Taken(at=now, id="")  # so much is not read to its end, and no page of a proxy's is so large
    found = json_object(response.body)
    message = found.get("id") if found else None
    if not isinstance(message, str) or not message.isdecimal():
        return _unreadable(is_webhook)
    return Taken(at=now, id=receipt_of(Posted(place, message)))


def decode_opening(response: Response) -> DiscordChannel | Answer:
    """In which channel a user is written to."""
    if response.status not in (200, 201):
        return refusal(response, is_webhook=False)
    found = json_object(response.body)
    channel = found.get("id") if found else None
    if not isinstance(channel, str) or not channel.isdecimal():
        return _unreadable(is_webhook=False)
    return DiscordChannel(channel)


def decode_introduction(response: Response) -> str | Answer:
    """What the bot is called."""
    if response.status != 200:
        return refusal(response, is_webhook=False)
    found = json_object(response.body) or {}
    name = text(found.get("username"))
    return f"@{name}" if name else _unreadable(is_webhook=False)


def decode_edit(response: Response, posted: Posted, now: float) -> Taken | Answer:
    """What became of a message that was to be changed. Changing it twice is as good as once."""
    if response.status != 200:
        return refusal(response, is_webhook=False)
    if WEB_PAGE.match(response.body):
        return _unreadable(is_webhook=False)
    return Taken(at=now, id=receipt_of(posted))


def decode_delete(response: Response, now: float) -> Taken | Answer:
    """What became of a message that was to be deleted. One that is gone already is what was wanted."""
    if response.status in (200, 204):
        return _unreadable(is_webhook=False) if WEB_PAGE.match(response.body) else Taken(at=now, id="")
    answer = refusal(response, is_webhook=False)
    return Taken(at=now, id="") if answer.reason == NOT_FOUND_MESSAGE else answer


def refusal(response: Response, *, is_webhook: bool) -> Answer:
    """What an answer that isn't a yes asks for; never raises, whatever it is.

    Args:
        is_webhook: whether a second try might show the message twice.
    """
    status = response.status
    found = json_object(response.body)
    code = found.get("code") if found is not None else None
    if status == 429:
        return _limited(response, found, code)
    if status >= 500:
        return _failed(status, code, is_webhook)
    if found is None and status == 403:
        return BY_REASON[BANNED].answer(status, detail="the answer isn't one of Discord's")
    if isinstance(code, int) and code == 50035:
        return _invalid_form(status, found or {})
    rule = BY_CODE.get(code) if isinstance(code, int) else None
    detail = _safe((found or {}).get("message"))
    if rule is not None:
        return rule.answer(status)
    if status == 401:
        return BY_REASON[UNAUTHORIZED].answer(status, detail=detail)
    if status == 403:
        told = f"{code}: {detail}" if isinstance(code, int) and code else detail
        return replace(BY_REASON[FORBIDDEN].answer(status, detail=told), known=False)
    reason = f"{code}" if isinstance(code, int) and code else UNREADABLE if found is None else f"{status}"
    answer = unknown_answer(status, reason, detail=detail)
    return final(answer) if is_webhook else answer


def _limited(response: Response, found: Mapping[str, Any] | None, code: Any) -> Answer:
    """A 429. The seconds in the body are more exact than the header's."""
    seconds = _seconds((found or {}).get("retry_after"))
    headers = response.headers
    scope = headers.get("x-ratelimit-scope")
    is_discords = scope is not None or "x-ratelimit-limit" in headers or seconds is not None
    if found is None or not is_discords:
        return BY_REASON[BANNED].answer(429, detail="the answer isn't one of Discord's")
    if seconds is None:
        seconds = _seconds(headers.get("retry-after"))
    if scope == "global" or found.get("global") is True or "x-ratelimit-global" in headers:
        rule = BY_REASON[GLOBAL_LIMIT]
    elif scope == _SHARED:
        rule = BY_REASON[SHARED_LIMIT]
    else:
        rule = (BY_CODE.get(code) if isinstance(code, int) else None) or BY_REASON[RATE_LIMITED]
    return rule.answer(429, retry_after=seconds)


def _failed(status: int, code: Any, is_webhook: bool) -> Answer:
    """A 5xx: the message may have been taken."""
    rule = (BY_CODE.get(code) if isinstance(code, int) else None) or BY_REASON["InternalServerError"]
    answer = rule.answer(status)
    return _never_again(answer) if is_webhook else answer


def _never_again(answer: Answer) -> Answer:
    """It may be there, and a second try might show it twice."""
    return Answer(
        verdict=Verdict.AMBIGUOUS, reason=answer.reason, status=answer.status, retry_after=math.inf, asked=True
    )


def final(answer: Answer) -> Answer:
    """An answer about a webhook's message: where nobody knows whether it is there, it isn't sent again."""
    return _never_again(answer) if answer.verdict is Verdict.AMBIGUOUS else answer


def _unreadable(is_webhook: bool) -> Answer:
    """A yes that doesn't say to what. A bot's is asked again, and Discord tells it then."""
    answer = Answer(verdict=Verdict.AMBIGUOUS, reason=UNREADABLE, status=200)
    return _never_again(answer) if is_webhook else answer


def _seconds(value: Any) -> float | None:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return min(seconds, LONGEST_RETRY_AFTER) if seconds >= 0 else None


# -- what is wrong with a message -------------------------------------------------------------------------------------


def _invalid_form(status: int, found: Mapping[str, Any]) -> Answer:
    """50035: a tree of errors, that concern the message, or the address of this recipient alone."""
    problems = list(_problems(found.get("errors"), ()))
    if problems and all(path and path[0] in _OURS_ALONE for path, _ in problems):
        return BY_REASON[INVALID_RECIPIENT].answer(status, detail="; ".join(path[0] for path, _ in problems[:3]))
    told = "; ".join(f"{'.'.join(path) or 'message'}: {said}" for path, said in problems[:3])
    return BY_REASON[INVALID_FORM].answer(status, detail=_safe(told or found.get("message")))


def _problems(tree: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every error in a tree, and the field it is about."""
    if not isinstance(tree, Mapping) or len(path) > _DEEPEST:
        return
    for key, inner in tree.items():
        if key != "_errors":
            yield from _problems(inner, (*path, str(key)))
        elif isinstance(inner, list):
            for each in inner:
                if isinstance(each, Mapping):
                    yield path, str(each.get("message") or each.get("code") or "is wrong")


def _safe(value: object) -> str:
    """One line for people, without ids: Discord quotes the request."""
    return _NUMBER.sub("…", text(value))
