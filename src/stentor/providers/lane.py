"""What a sender loop needs of any provider: a `Lane` that turns batches into `Flight`s, and flights into answers.

A lane is one app's credentials and connections within one event loop. It decides nothing about retries: it says what
became of each recipient (`Flight.answers`), and obeys. Opening one does no I/O; see `channels.open_lane`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from stentor.answer_times import AnswerTimes
from stentor.findings import Finding
from stentor.model import Action, Message
from stentor.providers.contract import Answer, Renewal, Taken
from stentor.providers.shown import Rendition

Variables = Mapping[str, Any]


class Renderer(Protocol):
    """What a lane needs of a campaign's content; `planning.content.Content` is one."""

    @property
    def action(self) -> Action:
        """What is done with it. Where that isn't to send it and the provider can edit and delete, the recipients'
        addresses are what it gave for the messages (`Taken.id`)."""

    @property
    def languages(self) -> Sequence[str]:
        """One for each rendering; `Batch.languages` holds indices of it. The first is for everybody else."""

    @property
    def variables(self) -> Sequence[str]:
        """What its templates need of each recipient; none where all of a language get the same."""

    def render(self, language: int, variables: Variables) -> Message:
        """The message for one recipient.

        Raises: InvalidMessage: a template needs what isn't there, or failed. Names the field.
        """

    def outline(self, language: int) -> Message:
        """The message with something harmless in each place that a template fills, for checks before any is filled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignContent:
    """What a lane must know of a campaign. All of it is the same at every retry, on every machine."""

    id: str
    content: Renderer
    started_at: float
    """Epoch seconds from which the message's lifetime counts."""
    max_rate: float | None = None
    """Pushes a second that the campaign is sent at most, over all lanes; None: as fast as they allow."""
    is_urgent: bool = False
    """Whether it goes before all that isn't, wherever recipients wait for their turn."""
    collapse_id: str
    """By which a push that had to be sent twice is shown once, where the message has no key of its own."""


class Prepared(Protocol):
    """A campaign's content, checked and rendered by one lane; to be kept as long as the campaign is being sent."""

    @property
    def sample(self) -> bytes:
        """What the first language gets as it goes over the wire, with an ellipsis for the address if that is in it."""

    @property
    def collapses(self) -> bool:
        """Whether the provider lets a second, identical push replace the first, so that an ambiguous one may be sent
        again."""


class Flight(Protocol):
    """A batch under way. Indices are those of the recipients given to `Lane.begin`."""

    def answers(self, now: float) -> dict[int, Answer]:
        """What is settled so far otherwise than accepted, by index. `now` is in epoch seconds."""

    def accepted(self) -> bytes:
        """A byte for each recipient: 1 where the provider has accepted it so far, else 0."""

    def receipts(self) -> Mapping[int, Taken]:
        """What the provider gave for those that it accepted so far, by index; empty where it gives nothing by which a
        message is found again."""

    async def done(self) -> None:
        """Wait until everybody is settled. If the waiter is cancelled, the flight is withdrawn."""

    def withdraw(self, reason: str) -> None:
        """Send no more of it. Who wasn't sent gets a NotProcessed answer at once, who is in flight is awaited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneState:
    """A snapshot for displays."""

    connections: int = 0
    open_streams: int = 0
    last_error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """One of the hosts that a lane sends to, while recipients wait for it."""

    name: str
    """For people: the host, with the port if it isn't the usual one. Never a path, in which there may be a token."""
    waiting: int
    """At least how many recipients wait for it."""
    answered: int
    """Requests that it has answered; any other number than before means that it answers."""
    trouble: str = ""
    """Why there is no connection to it; empty if there is one."""


class Lane(Protocol):
    """One app of one provider."""

    name: str
    """`channel/app`."""
    ceiling: float
    """Pushes a second that the provider or the app's `rate` allows at most, for estimates; infinite where neither names
    a limit."""
    rate: float | None
    """Pushes a second that all senders of the lane may send in total, as the app's settings say; None: no limit."""

    async def check(self) -> None:
        """Read the credential files, without asking the provider anything.

        Raises: CredentialError, InvalidConfiguration: names the setting at fault and what to do.
        """

    async def prepare(self, campaign: CampaignContent) -> Prepared:
        """Check and render a campaign's content.

        Raises: InvalidMessage: the provider would refuse it for everybody; names the field.
        """

    async def begin(
        self,
        prepared: Prepared,
        recipients: Sequence[bytes],
        addresses: Sequence[bytes],
        languages: bytes | None = None,
        variables: Sequence[Variables] | None = None,
    ) -> Flight:
        """Begin to send to these; columns of equal length, as in `batch.Batch`.

        Who cannot be sent to (malformed address, template that fails, payload too large for this one) is rejected in
        the flight's answers and stops nobody else.

        Raises:
            CredentialError: the credentials are wrong and stay wrong until somebody mends them; nothing was sent.
            CredentialUnavailable: none could be had just now; nothing was sent.
            InvalidConfiguration: a setting is wrong; nothing was sent.
            PoolClosed: the lane is closed; nothing was sent.
        """

    async def refused(self, flight: Flight) -> Renewal:
        """The provider refused the short-lived credential that this flight was sent with (Verdict.REFRESH): get
        another, unless there is one already.

        Raises: CredentialError, CredentialUnavailable: as `begin`.
        """

    def hold(self) -> None:
        """The provider saw too many new credentials (RETRY with Scope.CREDENTIAL): use the one before, make no more."""

    async def reload(self) -> bool:
        """Read the credential files again. Where they changed, new flights use them on connections of their own.

        Returns: whether they changed, or were read for the first time.

        Raises: CredentialError, InvalidConfiguration: as `check`; the old ones stay in use.
        """

    def meaning(self, reason: str) -> str:
        """What an answer's reason means and what mends it, for people; empty where no table knows."""

    def window(self) -> int:
        """Recipients that the wire can hold now; few until the provider answered once. Whoever wants it full has more
        than that under way."""

    def backlog(self) -> int:
        """Recipients of flights under way that no connection has taken yet."""

    @property
    def state(self) -> LaneState: ...

    async def aclose(self, drain: float | None = None) -> None:
        """Take no more flights, let those under way finish within `drain` seconds (default: as long as an answer may
        take), and close all connections."""


@runtime_checkable
class Shows(Protocol):
    """A lane that can say what people see of a message, and how much of its provider's limit that takes."""

    def show(self, message: Message, campaign: CampaignContent) -> Rendition:
        """The message, whose templates are filled, as it would be sent in a campaign.

        Raises: InvalidMessage: the provider would refuse it, for another reason than that it is too large.
        """


@runtime_checkable
class Introduces(Protocol):
    """A lane whose provider can be asked whether it takes us, without a message to anybody."""

    async def introduce(self) -> str | Sequence[Finding]:
        """Who we are to the provider, in a few words, e.g. `@example_bot`; or findings, where there is more to tell:
        of the `provider`, of this machine's `clock`.

        Raises:
            CredentialError: the provider doesn't know us.
            CredentialUnavailable: it couldn't be asked just now.
        """


@runtime_checkable
class Describes(Protocol):
    """A lane that can say whose its credentials are, and whether they will do."""

    def describe(self) -> Finding:
        """Of the files that `check` has read; nobody is asked."""


@runtime_checkable
class Expires(Protocol):
    """A lane whose credentials may end by themselves."""

    @property
    def expires_at(self) -> float | None:
        """When they do, in epoch seconds, as far as the files say that were read; None: never, or nobody knows."""


@runtime_checkable
class TimesAnswers(Protocol):
    """A lane that counts how long its provider takes to answer."""

    answer_times: AnswerTimes


@runtime_checkable
class Distinguishes(Protocol):
    """A lane some of whose addresses show a message twice that was sent twice, although `Prepared.collapses`."""

    def repeats(self, address: bytes) -> bool:
        """Whether this is one of them."""


@runtime_checkable
class Scatters(Protocol):
    """A lane that may send to many hosts, each of which answers for its own recipients."""

    @property
    def many_hosts(self) -> bool:
        """Whether it does. A host that fails then says nothing about the others, and the lane goes on."""


@runtime_checkable
class ListsHosts(Protocol):
    """A lane that scatters, and can say for which hosts recipients wait."""

    kind_of_host: str
    """What one of its hosts is called, e.g. `push service`."""

    def hosts(self) -> Sequence[HostState]:
        """Those for which recipients wait; bounded in number, however many hosts the lane sends to."""


@runtime_checkable
class Slackens(Protocol):
    """A lane whose provider takes some of what can be done to a message less often than others."""

    def rate_of(self, action: Action) -> float | None:
        """A second, over all senders of the lane; None: as often as its `rate` says."""


@runtime_checkable
class Divides(Protocol):
    """A lane with a limit of its own, beside `rate`, that all its senders must keep together."""

    def share(self, part: Callable[[], float]) -> None:
        """Keep to this part of it, 0 to 1, which changes as senders come and go. Until it is told, all of it."""


@runtime_checkable
class Priced(Protocol):
    """A lane whose provider may want to be paid for a campaign."""

    def price(self, prepared: Prepared, recipients: int) -> str | None:
        """What it costs to send this to so many, for people, e.g. `97,000 Stars`; None: nothing."""
