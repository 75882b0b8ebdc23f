"""Telegram's vocabulary: each reason it gives, and what that asks for. `docs/reasons.md` is drawn from this table.

A reason is the `description` of an answer without the name of its status ("Bad Request: "). Where Telegram adds
something to it, the table has how it begins. Rules: only an exact (status, reason) may drop a chat; another 400 that is
Telegram's own is about the message; what isn't Telegram's own is sent again.
"""

from __future__ import annotations

from types import MappingProxyType

from stentor.outcome import Scope, Verdict
from stentor.providers.contract import Rule

_ADDRESS, _MESSAGE, _LANE = Scope.ADDRESS, Scope.MESSAGE, Scope.LANE
_DROP, _FIX, _REJECT, _STOP = Verdict.DROP, Verdict.FIX, Verdict.REJECT, Verdict.STOP
MIGRATED = "group chat was upgraded to a supergroup chat"
TOO_MANY = "Too Many Requests"
BAD_REQUEST = "Bad Request"
"""The reason of a 400 that gives none."""
QUIET = 30.0
"""Seconds of silence after a 429 that names none."""
SHORTEST = 5.0

_KICKED = "The bot was removed from the chat."
_NO_MEMBER = "The bot isn't in the chat, or no longer."
_NOT_HERE = "The bot may not send this kind of message to this chat."
_TOPIC = "The topic is closed or was deleted; the bot may not write to it."
_PHOTO = "Telegram could not fetch the picture, or it isn't a picture. Is its address right, and is it below 5 MB?"
_TAKEN_BACK = "Older than 48 hours, or not the bot's own: Telegram doesn't let the bot take it back."

TABLE = (
    Rule(400, "BUTTON_DATA_INVALID", _FIX, _MESSAGE, "A button's `callback_data` is empty or longer than 64 bytes."),
    Rule(400, "BUTTON_URL_INVALID", _FIX, _MESSAGE, "A button's `url` is not an address that Telegram opens."),
    Rule(400, "CHAT_RESTRICTED", _REJECT, _ADDRESS, _NOT_HERE),
    Rule(400, "CHAT_SEND_PHOTOS_FORBIDDEN", _REJECT, _ADDRESS, _NOT_HERE),
    Rule(400, "CHAT_SEND_PLAIN_FORBIDDEN", _REJECT, _ADDRESS, _NOT_HERE),
    Rule(400, "CHAT_WRITE_FORBIDDEN", _REJECT, _ADDRESS, _NOT_HERE),
    Rule(400, "IMAGE_PROCESS_FAILED", _FIX, _MESSAGE, _PHOTO),
    Rule(
        400,
        "PEER_ID_INVALID",
        _DROP,
        _ADDRESS,
        "There is no such chat for this bot. If all get it, the token is another bot's.",
        stop_if_all=True,
    ),
    Rule(400, "PHOTO_INVALID_DIMENSIONS", _FIX, _MESSAGE, "The picture is too wide, too high or too narrow."),
    Rule(400, "TOPIC_CLOSED", _REJECT, _ADDRESS, _TOPIC),
    Rule(400, "TOPIC_DELETED", _REJECT, _ADDRESS, _TOPIC),
    Rule(400, "can't parse entities", _FIX, _MESSAGE, "The markup of the text is broken."),
    Rule(
        400,
        "chat not found",
        _DROP,
        _ADDRESS,
        "There is no such chat for this bot. If all get it, the token is another bot's.",
        stop_if_all=True,
    ),
    Rule(400, "failed to get HTTP URL content", _FIX, _MESSAGE, _PHOTO),
    Rule(400, MIGRATED, Verdict.REROUTE, _ADDRESS, "The group has a new id; it is sent there, and the id is kept."),
    Rule(400, "have no rights to send a message", _REJECT, _ADDRESS, _NOT_HERE),
    Rule(400, "message can't be deleted", _REJECT, _ADDRESS, _TAKEN_BACK),
    Rule(
        400, "message can't be edited", _REJECT, _ADDRESS, "Not the bot's own message, or of a kind that isn't edited."
    ),
    Rule(400, "message caption is too long", _FIX, _MESSAGE, "A caption has at most 1,024 characters."),
    Rule(400, "message is too long", _FIX, _MESSAGE, "A text has at most 4,096 characters."),
    Rule(400, "message text is empty", _FIX, _MESSAGE, "There was no text, or only spaces."),
    Rule(400, "message thread not found", _REJECT, _ADDRESS, "There is no such topic in the chat, or no longer."),
    Rule(400, "message to edit not found", _REJECT, _ADDRESS, "It was deleted."),
    Rule(400, "need administrator rights in the channel chat", _REJECT, _ADDRESS, _NOT_HERE),
    Rule(400, "not enough rights", _REJECT, _ADDRESS, _NOT_HERE),
    Rule(
        400,
        "private chat not found",
        _DROP,
        _ADDRESS,
        "There is no such chat for this bot. If all get it, the token is another bot's.",
        stop_if_all=True,
    ),
    Rule(400, "wrong HTTP URL specified", _FIX, _MESSAGE, _PHOTO),
    Rule(400, "wrong file identifier/HTTP URL specified", _FIX, _MESSAGE, _PHOTO),
    Rule(400, "wrong type of the web page content", _FIX, _MESSAGE, _PHOTO),
    Rule(401, "Unauthorized", _STOP, _LANE, "The token is wrong or was revoked: get it from BotFather."),
    Rule(403, "bot can't initiate conversation with a user", _DROP, _ADDRESS, "The user never pressed Start."),
    Rule(403, "bot can't send messages to bots", _DROP, _ADDRESS, "The chat is a bot's."),
    Rule(403, "bot is not a member of the channel chat", _DROP, _ADDRESS, _NO_MEMBER),
    Rule(403, "bot is not a member of the group chat", _DROP, _ADDRESS, _NO_MEMBER),
    Rule(403, "bot is not a member of the supergroup chat", _DROP, _ADDRESS, _NO_MEMBER),
    Rule(403, "bot was blocked by the user", _DROP, _ADDRESS, "The user blocked the bot."),
    Rule(403, "bot was kicked from the channel chat", _DROP, _ADDRESS, _KICKED),
    Rule(403, "bot was kicked from the group chat", _DROP, _ADDRESS, _KICKED),
    Rule(403, "bot was kicked from the supergroup chat", _DROP, _ADDRESS, _KICKED),
    Rule(403, "not enough rights", _REJECT, _ADDRESS, _NOT_HERE),
    Rule(403, "the group chat was deleted", _DROP, _ADDRESS, "The group no longer exists."),
    Rule(403, "user is deactivated", _DROP, _ADDRESS, "The user's account no longer exists."),
    Rule(
        404,
        "Not Found",
        _STOP,
        _LANE,
        "Telegram knows no such token: check that it is complete, and that `url` is right.",
    ),
    Rule(409, "Conflict", _STOP, _LANE, "Another program's use of the token forbids this one."),
    Rule(421, "Misdirected Request", _STOP, _LANE, "The bot belongs to another server: check `url`."),
    Rule(
        429,
        TOO_MANY,
        Verdict.RETRY,
        Scope.ACCOUNT,
        "Too fast: the whole bot is quiet for as long as Telegram says.",
        wait=QUIET,
    ),
    Rule(500, "Internal Server Error", Verdict.AMBIGUOUS, _ADDRESS, "Telegram's server failed; it may have sent it."),
    Rule(502, "Bad Gateway", Verdict.RETRY, _ADDRESS, "Telegram's servers cannot be reached.", wait=SHORTEST),
    Rule(503, "Service Unavailable", Verdict.RETRY, _ADDRESS, "Telegram's servers are overloaded.", wait=SHORTEST),
    Rule(504, "Gateway Timeout", Verdict.AMBIGUOUS, _ADDRESS, "Telegram's server took too long; it may have sent it."),
)

RULES = MappingProxyType({(rule.status, rule.reason.lower()): rule for rule in TABLE})
BEGINNINGS = tuple(rule for rule in TABLE if rule.verdict not in (_DROP, Verdict.REROUTE))
"""Those to which Telegram may add something. The others are exact, or not meant."""
