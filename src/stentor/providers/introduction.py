"""What a provider of pushes says of us, for `stentor doctor`: it is asked to deliver to an address that cannot exist.

Nobody ever gets anything. The answer to that ("no such device") is what proves that host, certificate, credentials and
topic or project are right; and where it tells the time, this machine's clock is compared with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import parsedate_to_datetime

from stentor.findings import Finding, problem, warning
from stentor.http2.burst import Fate, Header, Results
from stentor.model import FcmOptions, Message
from stentor.outcome import Verdict
from stentor.providers.base import settings_of
from stentor.providers.contract import Answer, header
from stentor.providers.http2_lane import Http2Lane
from stentor.providers.rendering import R

MESSAGE = Message(title="stentor doctor", fcm=FcmOptions(validate_only=True))
CLOCKS_DIFFER = 60.0
CLOCK_IS_WRONG = 300.0
"""Seconds by which this clock may differ from the provider's: Google refuses what is minutes off, Apple an hour."""
MEND_CLOCK = "Set this machine's clock, e.g. with NTP (`timedatectl set-ntp true`)."


async def introduce(lane: Http2Lane[R], rendered: R, nobody: bytes, wanted: str, now: float) -> list[Finding]:
    """What the answer to a request for `nobody` says. `wanted` is the reason that finds fault with the address alone,
    and `now` in epoch seconds.

    Raises: CredentialError, CredentialUnavailable, InvalidConfiguration: as `Lane.begin`.
    """
    endpoint, results, goaway = await lane.ask(rendered, nobody)
    answer = _answer(lane, results, goaway, now)
    if answer is None:
        said = results.reasons.get(0) or "no answer"
        settings = f"`proxy`, `url` and `ca_file` of [{settings_of(lane.name)}]"
        remedy = f"Check that this machine can reach {endpoint} (firewall, {settings})."
        return [problem("provider", said if str(endpoint) in said else f"{endpoint}: {said}", remedy)]
    clock = check_clock(reply.headers if (reply := results.replies.get(0)) else (), now)
    if answer.reason == wanted or answer.verdict is Verdict.ACCEPT:
        return [Finding(check="provider", detail=f"{endpoint} answers, and accepts the credentials"), *clock]
    meaning = lane.meaning(answer.reason) or answer.detail or "Stentor does not know this reason."
    detail = f"{endpoint} answers {answer.status or 'by hanging up'} {answer.reason}"
    if 200 <= answer.status < 300:
        return [problem("provider", f"{endpoint} isn't the provider", answer.detail), *clock]
    if answer.verdict is Verdict.REFRESH:  # to a token that was made just now
        return [problem("provider", f"{detail}: it says that a new token has expired", MEND_CLOCK), *clock]
    if answer.verdict in (Verdict.STOP, Verdict.FIX, Verdict.REJECT, Verdict.DROP):
        return [problem("provider", detail, meaning), *clock]
    return [warning("provider", f"{detail}: {meaning}", "Try again in a few minutes."), *clock]


def _answer(lane: Http2Lane[R], results: Results, goaway: bytes, now: float) -> Answer | None:
    """None where there was none, and the connection's end says nothing either."""
    if results.fates[0] != Fate.RESPONSE:
        return lane.decode_goaway(goaway)
    if (reply := results.replies.get(0)) is not None:
        return lane.decode(reply.status, reply.headers, reply.body, now)
    if lane.doubts(results):
        return lane.decode(results.statuses[0], (), results.bodies.get(0, b""), now)
    return Answer(verdict=Verdict.ACCEPT, reason="", status=results.statuses[0])


def check_clock(headers: Sequence[Header], now: float) -> list[Finding]:
    """How far this clock is off, where the provider tells the time in its answer; `now` is this clock's."""
    value = header(headers, b"date")
    try:
        theirs = parsedate_to_datetime(value.decode("ascii")).timestamp() if value else None
    except ValueError:
        theirs = None
    if theirs is None:
        return []
    off = now - theirs
    detail = f"this machine's is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} the provider's"
    if abs(off) >= CLOCK_IS_WRONG:
        return [problem("clock", detail, MEND_CLOCK)]
    if abs(off) >= CLOCKS_DIFFER:
        return [warning("clock", detail, MEND_CLOCK)]
    return [Finding(check="clock", detail="agrees with the provider's to the minute")]
