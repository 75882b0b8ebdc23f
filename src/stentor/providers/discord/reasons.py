"""Discord's codes that a sender meets, and what each asks for. `docs/reasons.md` is drawn from this table.

Source: Discord's list of JSON error codes (docs.discord.com/developers/topics/opcodes-and-status-codes). A code means
the same whatever status it comes with, and Discord's list doesn't say which. Rules: only a code that is in here drops
an address; what isn't is sent again, but for an unknown 403: each of those counts towards a ban.
"""

from __future__ import annotations

from types import MappingProxyType

from stentor.outcome import Scope, Verdict
from stentor.providers.contract import LONGEST_RETRY_AFTER, Rule

_ADDRESS, _MESSAGE, _LANE = Scope.ADDRESS, Scope.MESSAGE, Scope.LANE
_DROP, _FIX, _STOP, _RETRY, _REJECT = Verdict.DROP, Verdict.FIX, Verdict.STOP, Verdict.RETRY, Verdict.REJECT

BANNED = "Banned"
FORBIDDEN = "Forbidden"
NO_TOKEN = "NoToken"
NOT_FOUND_MESSAGE = "10008 Unknown Message"
INVALID_FORM = "50035 Invalid Form Body"
INVALID_RECIPIENT = "50035 Invalid Recipient"
UNAUTHORIZED = "Unauthorized"
RATE_LIMITED, SHARED_LIMIT, GLOBAL_LIMIT = "RateLimited", "SharedRateLimit", "GlobalRateLimit"

TABLE = (
    Rule(
        400, "200000 Blocked by AutoMod", _REJECT, _ADDRESS, "The server's own rules (AutoMod) block the message there."
    ),
    Rule(
        400,
        "20009 Explicit Content",
        _REJECT,
        _ADDRESS,
        "The recipient's filter takes the content for explicit.",
    ),
    Rule(
        400,
        "220001 Thread Needed",
        _REJECT,
        _ADDRESS,
        "The webhook is of a forum, where each message must be in a thread. Make one of a text channel.",
    ),
    Rule(400, "50006 Empty Message", _FIX, _MESSAGE, "There is neither text nor an embed."),
    Rule(400, "50008 Non-Text Channel", _DROP, _ADDRESS, "Messages cannot be sent to this kind of channel."),
    Rule(400, "50024 Wrong Channel Type", _DROP, _ADDRESS, "That cannot be done in this kind of channel."),
    Rule(
        400, "50033 Invalid Recipient", _DROP, _ADDRESS, "Nobody can write to this user, e.g. as it is the bot itself."
    ),
    Rule(400, INVALID_FORM, _FIX, _MESSAGE, "The message breaks a rule of Discord's; the detail names field and rule."),
    Rule(400, INVALID_RECIPIENT, _REJECT, _ADDRESS, "Discord cannot read the address."),
    Rule(
        401,
        "50027 Invalid Webhook Token",
        _DROP,
        _ADDRESS,
        "The webhook's token is wrong: it was deleted, or made anew.",
    ),
    Rule(
        401,
        NO_TOKEN,
        _STOP,
        Scope.PLATFORM,
        "Not asked: the address is a channel or a user, and the app has no `token_file`. Its webhooks go on.",
    ),
    Rule(401, UNAUTHORIZED, _STOP, _LANE, "Discord doesn't take the bot's token: it was reset, or is wrong."),
    Rule(403, "20012 Not Authorized", _STOP, _LANE, "The bot's account may not do this."),
    Rule(
        403,
        "30046 Too Many Edits",
        _REJECT,
        _ADDRESS,
        "Discord limits how often messages older than an hour can be edited.",
    ),
    Rule(403, "40001 Unauthorized", _STOP, _LANE, "The bot's account may not do this."),
    Rule(403, "40002 Not Verified", _STOP, _LANE, "The account must be verified first."),
    Rule(
        403, "40003 Opening DMs Too Fast", _RETRY, _ADDRESS, "Too many conversations were opened recently.", wait=60.0
    ),
    Rule(403, "40007 Banned From Server", _DROP, _ADDRESS, "The user is banned from the server."),
    Rule(
        403,
        "50001 Missing Access",
        _DROP,
        _ADDRESS,
        "The bot doesn't see the channel, or was removed from the server. If all get it, the token is another bot's.",
        stop_if_all=True,
    ),
    Rule(403, "50005 Not The Author", _REJECT, _ADDRESS, "Somebody else's message cannot be edited."),
    Rule(403, "50007 Cannot DM User", _DROP, _ADDRESS, "The user takes no messages from the bot, or blocked it."),
    Rule(403, "50013 Missing Permissions", _DROP, _ADDRESS, "The bot may not write in the channel."),
    Rule(403, "50278 No Mutual Server", _DROP, _ADDRESS, "The bot shares no server with the user any more."),
    Rule(
        403,
        FORBIDDEN,
        _REJECT,
        _ADDRESS,
        "Refused without a code that is known here. Not sent again, as each refusal counts towards a ban.",
    ),
    Rule(
        404,
        "10003 Unknown Channel",
        _DROP,
        _ADDRESS,
        "The channel was deleted. If all get it, these may be the ids of servers, not of channels.",
        stop_if_all=True,
    ),
    Rule(404, "10004 Unknown Server", _DROP, _ADDRESS, "The server was deleted, or the bot removed from it."),
    Rule(
        404, NOT_FOUND_MESSAGE, _REJECT, _ADDRESS, "The message is already gone. If it was to be deleted, that is done."
    ),
    Rule(404, "10013 Unknown User", _DROP, _ADDRESS, "There is no such user."),
    Rule(404, "10015 Unknown Webhook", _DROP, _ADDRESS, "The webhook was deleted."),
    Rule(429, "20016 Slow Mode", _RETRY, _ADDRESS, "The channel's slow mode lets nothing through just now.", wait=60.0),
    Rule(429, "20028 Channel Write Limit", _RETRY, _ADDRESS, "Too much was written in the channel.", wait=60.0),
    Rule(429, "20029 Server Write Limit", _RETRY, _ADDRESS, "Too much was written in the server.", wait=60.0),
    Rule(429, "40062 Service Limited", _RETRY, _ADDRESS, "A service of Discord's is too busy.", wait=30.0),
    Rule(
        429,
        BANNED,
        _STOP,
        _LANE,
        "Discord's front (Cloudflare) blocks this machine's IP address, mostly after too many refused requests. Find "
        "out what else sends from it; the lane tries again after an hour.",
        wait=LONGEST_RETRY_AFTER,
    ),
    Rule(429, GLOBAL_LIMIT, _RETRY, Scope.ACCOUNT, "The bot as a whole is too fast.", wait=5.0),
    Rule(429, RATE_LIMITED, _RETRY, _ADDRESS, "Too fast for this channel or route.", wait=5.0),
    Rule(429, SHARED_LIMIT, _RETRY, _ADDRESS, "Others were too fast in this channel or server.", wait=5.0),
    Rule(500, "InternalServerError", _RETRY, _ADDRESS, "Discord's servers failed.", wait=5.0),
    Rule(503, "130000 Overloaded", _RETRY, _ADDRESS, "Discord's servers are overloaded.", wait=30.0),
)

BY_REASON = MappingProxyType({rule.reason: rule for rule in TABLE})
BY_CODE = MappingProxyType(
    {int(code): rule for rule in TABLE if (code := rule.reason.partition(" ")[0]).isdigit()}
    | {50035: BY_REASON[INVALID_FORM]}
)
