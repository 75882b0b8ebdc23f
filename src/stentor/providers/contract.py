"""What every provider's folder takes and gives: rules, answers, encoded bursts, credentials.

A provider's `reasons.py` is a tuple of `Rule`; its `wire.py` turns recipients into an `Encoded` burst and a response
into an `Answer`. `answers` joins the two for whole bursts. All of it is pure; `Credentials` is the one that may wait.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from itertools import chain, compress
from typing import Any, Protocol

import msgspec

from stentor.http2.burst import Burst, Fate, Header, Results, Template
from stentor.outcome import Scope, Verdict

LONGEST_RETRY_AFTER = 3600.0
"""Seconds. A provider that asks for more gets this much: a campaign must not sleep for a day over one wrong header."""
LONGEST_DETAIL = 300
LARGEST_ERROR_BODY = 65_536
EXPLANATION = b"x-wns-error-description"
"""In which header Windows' push service says what is wrong; its answers have no body."""
TELLING = frozenset({b"retry-after", EXPLANATION})
"""The headers of a refusal that `Decode` may rest on; others, such as a date, differ in answers that are equal."""
HIGHEST_STATUS = 999
"""Of an HTTP response (RFC 9110, section 15)."""
MALFORMED_ADDRESS = "MalformedAddress"
UNREADABLE = "unreadable"
"""The reason of an answer whose body says nothing we understand, e.g. a proxy's HTML page."""

WEB_PAGE = re.compile(rb"\s*(<!doctype html|<html)", re.IGNORECASE)
"""The beginning of what a browser is shown: no provider's answer to a message."""

_LIKE_A_SECRET = re.compile(r"(?=[\w:%-]*\d)[\w:%-]{20,}")
_SECONDS = re.compile(rb"\d{1,9}(\.\d{1,9})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a provider says about one request, and what that asks for."""

    verdict: Verdict
    reason: str
    """The provider's own word, or ours where it gave none. Short; goes into reports and metrics."""
    status: int = 0
    """The HTTP status; 0 where no response carried it."""
    scope: Scope = Scope.ADDRESS
    retry_after: float | None = None
    """Seconds to wait at least before sending again; None leaves it to the ordinary backoff."""
    asked: bool = False
    """Whether the provider itself named that wait (`retry-after`); otherwise it is our table's."""
    since: float | None = None
    """Epoch seconds at which the provider last knew the address to be dead."""
    moved_to: str = ""
    """Of a REROUTE: the recipient's new address."""
    detail: str = ""
    """The provider's explanation, for people. Never holds an address or a credential."""
    stop_if_all: bool = False
    """Ordinary for one recipient; if nearly all get it, the configuration is wrong: STOP, and drop nobody."""
    known: bool = True
    """Whether the reason is in our table. An unknown one deserves an alert: the provider changed something."""

    def __post_init__(self) -> None:
        for name in ("reason", "moved_to", "detail"):
            _make_encodable(self, name)
        if not 0 <= self.status <= HIGHEST_STATUS:
            object.__setattr__(self, "status", 0)

    def for_registration(self, registered_at: float | None) -> Answer:
        """This answer, given when (epoch seconds) the address was last registered with us.

        A DROP that is older than our registration doesn't mean this registration: the recipient is refused now, but
        the address is kept. Where the time isn't known, the provider is believed.
        """
        if self.verdict is not Verdict.DROP or self.since is None or registered_at is None:
            return self
        return replace(self, verdict=Verdict.REJECT) if registered_at > self.since else self


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a provider gives for a message that it took; see `recording.contract.Receipt`."""

    at: float
    """Epoch seconds."""
    id: str
    moved_to: str = ""

    def __post_init__(self) -> None:
        for name in ("id", "moved_to"):
            _make_encodable(self, name)


def _make_encodable(said: Answer | Taken, name: str) -> None:
    """Have a text of `said` go into any message. A channel is anybody's code, and JSON may hold half of a surrogate
    pair: one such answer would stop what is recorded with it."""
    value = getattr(said, name)
    if not value.isascii():
        object.__setattr__(said, name, value.encode(errors="replace").decode())


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of a provider's table: what one of its reasons asks for."""

    status: int
    """The HTTP status it comes with."""
    reason: str
    verdict: Verdict
    scope: Scope
    meaning: str
    """What happened and what mends it, for people."""
    wait: float | None = None
    """Seconds to wait at least where the provider names none."""
    stop_if_all: bool = False
    """See `Answer.stop_if_all`."""

    def answer(
        self, status: int, *, retry_after: float | None = None, since: float | None = None, detail: str = ""
    ) -> Answer:
        return Answer(
            verdict=self.verdict,
            reason=self.reason,
            status=status,
            scope=self.scope,
            retry_after=self.wait if retry_after is None else retry_after,
            asked=retry_after is not None,
            since=since,
            detail=detail,
            stop_if_all=self.stop_if_all,
        )


NO_ADDRESS_OF_OURS = Answer(verdict=Verdict.REJECT, reason=MALFORMED_ADDRESS, detail="not an address of this provider")
NOWHERE = Answer(
    verdict=Verdict.REJECT,
    reason="NoAddress",
    detail="the audience has no address for it, or its message is no longer on record",
)
"""Of recipients whose address is empty: those of an undo who are gone from the audience, or of whose message no receipt
was kept."""

Decode = Callable[[int, Sequence[Header], bytes, float], Answer]
"""A provider's `decode(status, headers, body, now)`: pure, and never raises, whatever the bytes are."""
Doubts = Callable[[Results], Sequence[int]]
"""A provider's `doubts(results)`: the indices of the 200s to `decode`, as their bodies aren't what the provider's are.
Those in `Results.replies` are decoded anyway."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A batch's columns as a burst, and who isn't in it."""

    burst: Burst
    positions: Sequence[int]
    """For each request of the burst, its recipient's index in the batch."""
    rejected: Mapping[int, Answer] = field(default_factory=dict)
    """Recipients whose address could not be put on the wire, by their index in the batch."""


def encode_columns(
    addresses: Sequence[bytes], malformed: Sequence[int], encode: Callable[[Sequence[int] | None], Burst]
) -> Encoded:
    """The burst of the well-formed addresses, and a rejection for each of the `malformed` ones.

    `encode` makes the burst of the recipients at some indices, or of all for None, which is the ordinary case.
    """
    if not malformed:
        return Encoded(encode(None), range(len(addresses)))
    excluded = set(malformed)
    positions = [index for index in range(len(addresses)) if index not in excluded]
    rejections = {index: NOWHERE if not addresses[index] else NO_ADDRESS_OF_OURS for index in malformed}
    return Encoded(encode(positions), positions, rejections)


def join(groups: Iterable[tuple[Sequence[int], Encoded]]) -> list[Encoded]:
    """Groups of a batch's recipients as one burst for each template, so that they cost no more than a plain batch.

    Each group comes with the indices in the batch of its recipients, to which its own `positions` then refer.
    """
    by_template: dict[Template, list[tuple[Sequence[int], Encoded]]] = {}
    for group in groups:
        by_template.setdefault(group[1].burst.template, []).append(group)
    return [_joined(template, found) for template, found in by_template.items()]


def _joined(template: Template, groups: Sequence[tuple[Sequence[int], Encoded]]) -> Encoded:
    bursts = [encoded.burst for _, encoded in groups]
    columns = tuple(
        list(chain.from_iterable(burst.columns[number] for burst in bursts)) for number in range(len(template.varying))
    )
    return Encoded(
        Burst(template, columns, list(chain.from_iterable(burst.bodies for burst in bursts))),
        [indices[position] for indices, encoded in groups for position in encoded.positions],
        {indices[index]: answer for indices, encoded in groups for index, answer in encoded.rejected.items()},
    )


def find_malformed(addresses: Sequence[bytes], allowed: bytes, longest: int) -> list[int]:
    """Indices of the addresses that are empty, too long, or hold a byte that isn't in `allowed`.

    Nearly always none is, and the whole column is cleared by three passes at C speed.
    """
    if not addresses:
        return []
    if all(addresses) and max(map(len, addresses)) <= longest and not b"".join(addresses).translate(None, allowed):
        return []
    bad = (not a or len(a) > longest or bool(a.translate(None, allowed)) for a in addresses)
    return list(compress(range(len(addresses)), bad))


def no_doubts(_: Results) -> Sequence[int]:
    """Of a provider whose 200s have no bodies that could be looked at."""
    return ()


def answers(
    encoded: Encoded, results: Results, decode: Decode, now: float, doubts: Doubts = no_doubts
) -> dict[int, Answer]:
    """The answer for each recipient (by its index in the batch) that wasn't accepted.

    Requests that are still pending have none. In a storm of equal answers each is decoded once.
    """
    found = dict(encoded.rejected)
    positions = encoded.positions
    for index in doubts(results):
        doubted = decode(results.statuses[index], (), results.bodies.get(index, b""), now)
        if doubted.verdict is not Verdict.ACCEPT:
            found[positions[index]] = doubted
    decoded: dict[tuple[int, bytes, tuple[Header, ...]], Answer] = {}
    for index, reply in results.replies.items():
        key = (reply.status, reply.body, tuple(each for each in reply.headers if each[0] in TELLING))
        answer = decoded.get(key)
        if answer is None:
            answer = decoded[key] = decode(reply.status, reply.headers, reply.body, now)
        if answer.verdict is not Verdict.ACCEPT:
            found[positions[index]] = answer
    if Fate.NOT_PROCESSED in results.fates or Fate.AMBIGUOUS in results.fates:
        for index, fate in enumerate(results.fates):
            if fate == Fate.NOT_PROCESSED:
                found[positions[index]] = not_processed(results.reasons.get(index, ""))
            elif fate == Fate.AMBIGUOUS:
                found[positions[index]] = ambiguous(results.reasons.get(index, ""))
    return found


def not_processed(detail: str) -> Answer:
    """The answer for a request that the provider certainly did not act upon."""
    return Answer(verdict=Verdict.RECONNECT, reason="NotProcessed", scope=Scope.CONNECTION, detail=detail)


def ambiguous(detail: str) -> Answer:
    """The answer for a request that was written and never answered."""
    return Answer(verdict=Verdict.AMBIGUOUS, reason="NoAnswer", detail=detail)


def unknown_answer(status: int, reason: str, *, retry_after: float | None = None, detail: str = "") -> Answer:
    """The safe default for what no table knows: send again. Never DROP, for a dead address cannot be undone.

    A 2xx other than 200 says that something took the request, so it may have been accepted.
    """
    verdict = Verdict.AMBIGUOUS if 200 < status < 300 else Verdict.RETRY
    return Answer(
        verdict=verdict,
        reason=reason,
        status=status,
        retry_after=retry_after,
        asked=retry_after is not None,
        detail=detail,
        known=False,
    )


def not_theirs(status: int, body: bytes, lacks: str) -> Answer:
    """The answer where a 2xx isn't the provider's own, since it `lacks` what each of the provider's has.

    A web page comes from something in between, and the provider never saw the request. Behind anything else the
    provider may have acted on it.
    """
    verdict = Verdict.RECONNECT if WEB_PAGE.match(body) else Verdict.AMBIGUOUS
    detail = f"a {status} without {lacks}, so not the provider's; check the app's url and proxy, and filters in between"
    return Answer(verdict=verdict, reason=UNREADABLE, status=status, detail=detail, known=False)


def header(headers: Sequence[Header], name: bytes) -> bytes | None:
    """The first value of a header, by its lower-case name."""
    for key, value in headers:
        if key == name:
            return value
    return None


def retry_after(headers: Sequence[Header], now: float) -> float | None:
    """Seconds that a `retry-after` header asks to wait: given as seconds or as a date, capped, never negative.

    None where there is no such header or it makes no sense. `now` is epoch seconds.
    """
    value = header(headers, b"retry-after")
    if value is None:
        return None
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), LONGEST_RETRY_AFTER)
    try:
        date = parsedate_to_datetime(value.decode("ascii"))
        until = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(0.0, until - now), LONGEST_RETRY_AFTER)


def json_object(body: bytes, *, largest: int = LARGEST_ERROR_BODY) -> dict[str, Any] | None:
    """The JSON object that `body` is, or None where it is anything else or larger than `largest` bytes."""
    if len(body) > largest:
        return None
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def text(value: object) -> str:
    """`value` as one short printable line; an empty one where it isn't a string.

    What looks like an address or a credential is left out: providers quote the request in their explanations.
    """
    if not isinstance(value, str):
        return ""
    if len(value) < 20 and value.isprintable():  # nearly every reason, and too short to hold a secret
        return value.strip()
    line = "".join(c if c.isprintable() else " " for c in value[:LONGEST_DETAIL])
    return _LIKE_A_SECRET.sub("…", " ".join(line.split()))


@dataclass(frozen=True, slots=True)
class Renewal:
    """What came of asking for another short-lived credential."""

    renewed: bool
    """Whether `authorization()` now gives another one, so that sending again makes sense."""
    wait: float = 0.0
    """Seconds until another may be had, where it wasn't renewed."""
    explanation: str = ""
    """For people, where it wasn't renewed."""


class Credentials(Protocol):
    """The short-lived credential of a lane, shared by all its connections."""

    async def authorization(self) -> bytes:
        """The value of the `authorization` header.

        Raises:
            CredentialError: the credentials are wrong and stay wrong until somebody mends them.
            CredentialUnavailable: none could be had just now.
        """

    async def refused(self, authorization: bytes) -> Renewal:
        """The provider refused this value (Verdict.REFRESH): get another one, unless somebody just has.

        Raises: as `authorization`.
        """

    def hold(self) -> None:
        """The provider saw too many new ones (RETRY with Scope.CREDENTIAL): go back to the one before, make no more."""
