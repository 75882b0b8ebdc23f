"""Every exception Stentor raises, in one small tree.

An exception means "could not"; a provider's refusal is a value (see `outcome.py`), never an exception.
The docstring of a class is its default message, so it is written for the person who will read it.
"""

from __future__ import annotations

from datetime import datetime


class StentorError(Exception):
    """Something went wrong in Stentor."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class InvalidMessage(StentorError):
    """The message cannot be sent as it is; nothing was sent."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        """Dotted path of the field at fault, e.g. `apns.headers.apns-priority`."""
        self.problem = problem
        """What is wrong with it, without the field."""

    def within(self, place: str) -> InvalidMessage:
        """The same, of a message that is itself part of something."""
        return type(self)(f"{place}.{self.field}", self.problem)


class Skipped(InvalidMessage):
    """A template says that this recipient gets nothing. It is no mistake."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.why = problem
        """What the template gives as the reason; see `planning.skipping`."""


class InvalidConfiguration(StentorError):
    """A setting, file or option is missing or wrong."""


class CredentialError(StentorError):
    """The provider credentials cannot be read or were refused; fix them. Nothing was lost."""


class CredentialUnavailable(StentorError):
    """No credential could be obtained just now (network, token server); trying again later may help."""


class WireError(StentorError):
    """The connection to the provider failed."""


class ConnectFailed(WireError):
    """No connection to the provider could be made."""


class HostForbidden(ConnectFailed):
    """Stentor may not connect to any of the host's addresses."""


class ProtocolError(WireError):
    """The peer broke the HTTP/2 protocol; the connection was closed."""

    def __init__(self, message: str | None = None, *, code: int = 0x1) -> None:
        super().__init__(message)
        self.code = code
        """The RFC 9113 section 7 error code that the GOAWAY to the peer carries."""


class PoolClosed(WireError):
    """The connection pool is closed; nothing was sent."""


class WorkerFailed(StentorError):
    """A process of Stentor keeps dying; nothing was lost."""


class BatchUnreadable(StentorError):
    """A queued batch cannot be read; it goes to the dead letters."""


class BatchTooNew(BatchUnreadable):
    """A newer Stentor's batch; it waits for one that can read it."""


class StoreUnavailable(StentorError):
    """Stentor's database cannot be reached or written to just now; nothing was lost, try again later."""


class StoreUnusable(StoreUnavailable):
    """Stentor's database cannot be used until somebody fixes it or frees some space; nothing was lost."""


class QueueUnavailable(StoreUnavailable):
    """The queue cannot be reached or written to just now; nothing was lost, try again later."""


class LeaseLost(StentorError):
    """The lease of a batch has ended, and another may have the batch; what rests on it wasn't written."""


class StoreRefused(StentorError):
    """Stentor's database cannot hold what it was given, so the rest is stored without it."""


class StoreOutdated(StentorError):
    """Stentor's database was made by another version; run `stentor init --upgrade`."""


class AudienceUnavailable(StentorError):
    """The audience's database cannot be reached just now; nothing was lost, try again later."""


class InvalidAudience(StentorError):
    """The audience cannot be read as it is configured; nothing was sent."""


class InvalidState(StentorError):
    """The campaign's state doesn't allow that."""


class AlreadySent(StentorError):
    """A campaign was started with this key already; nothing was sent."""

    def __init__(self, key: str, campaign_id: str, at: float) -> None:
        when = datetime.fromtimestamp(at).astimezone().isoformat(" ", "seconds")
        super().__init__(f"{key!r} was sent already, as campaign {campaign_id} on {when}; nothing was sent")
        self.campaign_id = campaign_id
        """The campaign that has the key. It may have been pruned since."""


class UnknownCampaign(StentorError):
    """There is no such campaign; `stentor campaign list` shows all campaigns."""


class InvalidInput(StentorError):
    """A value that was given cannot be used; nothing was changed."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        """The name of the value at fault, e.g. `password`."""
        self.problem = problem
        """What is wrong with it, without the name."""


class InvalidSegment(InvalidInput):
    """A segment cannot be used as it is written; nothing was sent."""

    def __init__(self, problem: str, *, text: str | None = None, at: int | None = None, field: str = "segment") -> None:
        """Args:
        text: the segment as it was written, if it was a text.
        at: the place in it that is at fault, in characters from its beginning.
        """
        self.line = self.column = None
        """Of the place at fault, each from 1; None where it wasn't a text."""
        self.pointed: str | None = None
        """The line at fault, and below it a caret at the place."""
        where = ""
        if text is not None and at is not None:
            begin = text.rfind("\n", 0, at) + 1
            self.line, self.column = text.count("\n", 0, at) + 1, at - begin + 1
            shown = text[begin:].partition("\n")[0].replace("\t", " ")
            cut = max(0, self.column - 60)
            self.pointed = f"{shown[cut : cut + 100]}\n{' ' * (self.column - 1 - cut)}^"
            where = f"line {self.line}, column {self.column}: " if "\n" in text else f"column {self.column}: "
        super().__init__(field, where + problem)


class Forbidden(StentorError):
    """You may not do this: it needs a higher scope than you have."""


class SignInRefused(StentorError):
    """The name or the password is wrong."""


class TooManyAttempts(StentorError):
    """Too many attempts; wait a while."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"Too many attempts; try again in {max(1, round(retry_after))} s.")
        self.retry_after = retry_after
        """Seconds."""


class SignInUnavailable(StentorError):
    """The OpenID provider cannot be reached or doesn't answer as it should; try again later."""


class LinkInvalid(StentorError):
    """This link was used already, has expired, or is not whole; ask an admin for a new one."""


class UnknownKey(StentorError):
    """There is no such API key; `stentor key list` shows all keys."""


class UnknownSegment(StentorError):
    """There is no segment of this name; `stentor segment list` shows all segments."""


class UnknownSeries(StentorError):
    """There is no such series; `stentor series list` shows all series."""


class UnknownExclusionList(StentorError):
    """There is no exclusion list of this name; `stentor exclusion list` shows all lists."""


class UnknownTemplate(StentorError):
    """There is no template of this name; `stentor template list` shows all templates."""


class UnknownUser(StentorError):
    """There is no such user; `stentor user list` shows all users."""


class ChangedMeanwhile(StentorError):
    """It was changed by somebody else meanwhile; look at it again. Nothing was changed now."""


class Unconfirmed(StentorError):
    """This is not what was confirmed; nothing was started."""


class UnknownReport(StentorError):
    """There is no such report; `stentor report list` shows all reports."""


class UnknownInstallation(StentorError):
    """There is no such installation in the registry."""
