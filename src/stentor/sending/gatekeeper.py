"""The gatekeeper of a lane: tells the gate what comes back, and does what answers ask of the lane as a whole.

`retry.decide` says what that is; here it is done: get another credential, keep the old one, be quiet (all senders of
the lane, by their budget), stop. It tells the desk when the lane stops and when it goes on, and watches the credential
files, so that the lane goes on once they are mended.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from stentor.clock import steady
from stentor.errors import CredentialError, CredentialUnavailable, InvalidConfiguration
from stentor.outcome import Scope, Verdict
from stentor.pace.budget import Budget
from stentor.pace.paced import PacedFlight
from stentor.pace.throttles import Throttles
from stentor.providers.contract import Answer
from stentor.providers.lane import Divides, Flight, Lane, ListsHosts, Scatters
from stentor.sending.desk import Desk
from stentor.sending.gate import GOES_ON, TRIAL, Gate, Problem
from stentor.sending.retry import Decision, quiet
from stentor.sending.silence import Silence
from stentor.sending.silent_hosts import SilentHosts

Trouble = CredentialError | CredentialUnavailable | InvalidConfiguration
"""What keeps a lane from sending for want of a credential or a setting."""

logger = logging.getLogger(__name__)

LONGEST_WAIT = 5.0
"""Seconds for which a batch is given back at most while the lane is closed."""
RELOAD = 0.8
"""Seconds between two looks at the credential files."""
MEND = "fix the credentials; the lane then goes on by itself"
UNTOLD = Problem(what="whatever was told by a process that was killed", remedy="", pause=0.0)


class Gatekeeper:
    """Of one lane in one process."""

    def __init__(self, lane: Lane, desk: Desk, longest_backoff: float) -> None:
        """Args:
        longest_backoff: see `SendingConfig`.
        """
        self.gate = Gate()
        self.one_host = not (isinstance(lane, Scatters) and lane.many_hosts)
        """See `retry.Circumstances`."""
        self.silence = Silence(0 if self.one_host else TRIAL)
        self._hosts = lane if isinstance(lane, ListsHosts) and not self.one_host else None
        self.silent_hosts = SilentHosts(self._hosts.kind_of_host if self._hosts else "")
        self.budget: Budget | None = None
        """Shared by all senders of the lane; None before `share`."""
        self.throttles: Throttles | None = None
        """Those of campaigns, of all lanes of this process; None before `share`."""
        self.blamed = False
        """Whether the settings are suspected; see `Decision.blamed`."""
        self._lane = lane
        self._desk = desk
        self._longest_backoff = longest_backoff
        self._reported: Problem | None = UNTOLD
        self._reload_at = 0.0
        self._warned = ""

    def __repr__(self) -> str:
        return f"<Gatekeeper of {self._lane.name}, {self.gate!r}>"

    def share(
        self, budget: Budget, has_work: Callable[[], Awaitable[bool]], throttles: Throttles | None = None
    ) -> None:
        """Tell the other senders of the lane about calls for quiet, and hear of theirs. See `Budget.attach`."""
        self.budget = budget
        self.throttles = throttles
        budget.attach(self._hear_of_quiet, has_work)
        if isinstance(self._lane, Divides):
            self._lane.share(lambda: budget.part)

    @property
    def problem(self) -> Problem | None:
        """Why the lane gets nothing done just now, or why some of its hosts don't."""
        some = self.silent_hosts.problem
        if some is not None and self.silence.problem is not None:
            some = replace(some, waiting=None)  # these are all
        return self.gate.problem or some or self.silence.problem

    @property
    def stands_still(self) -> bool:
        """Whether the lane as a whole gets nothing done just now."""
        return (problem := self.problem) is not None and problem.waiting is None

    @property
    def notice(self) -> str | None:
        """The same in a line."""
        if (problem := self.problem) is None:
            return None
        return f"{'closed: ' if self.gate.problem else ''}{problem.what}; {problem.remedy}"

    # -- what comes back ----------------------------------------------------------------------------------------------

    async def obey(self, decision: Decision, answers: Mapping[int, Answer], flight: Flight) -> None:
        """Do what the answers to a batch ask of the lane as a whole."""
        now = steady()
        if decision.accepted:
            self.blamed = False
        error = next((a.detail or a.reason for a in answers.values() if a.verdict is not Verdict.DROP), "")
        self.gate.note(accepted=decision.accepted, answered=decision.answered, down=decision.down, error=error, now=now)
        if (stop := decision.stop) is not None:
            self.blamed = self.blamed or decision.blamed
            what = f"{stop.reason}: {stop.detail}" if stop.detail else stop.reason
            self.gate.stop(what, self._lane.meaning(stop.reason), now, stop.retry_after or 0.0)
        if decision.refresh:
            await self._refresh(flight)
        if decision.hold:
            self._lane.hold()
        if decision.throttle:
            self._be_quiet(decision.throttle)

    def hear(self) -> None:
        """The provider answers."""
        self.silence.hear(steady())

    def listen(self, under_way: int, now: float, *, heard: bool) -> None:
        """See whether the provider is silent, or one of the lane's hosts.

        Args:
            under_way: requests that wait for their answers.
            now: epoch seconds.
            heard: whether any was answered since the last time.
        """
        if self._hosts is not None:
            waits = under_way > 0 or self._desk.busy
            self.silent_hosts.look(self._hosts.hosts() if waits else [], steady(), now)
        if heard:
            self.hear()
            return
        state = self._lane.state
        trouble = "" if state.connections else state.last_error or "no connection"
        self.silence.look(under_way, trouble, steady())

    def forbids(self, answers: Mapping[int, Answer], sent: int, *, remainder: bool) -> bool:
        """Whether the answers to a part of a batch forbid to send the rest now. Where the provider wants quiet, all
        senders are quiet from this moment. See `retry.Circumstances` for `remainder`."""
        if seconds := quiet(answers, sent, self._longest_backoff, remainder=remainder):
            self._be_quiet(seconds)
        return bool(seconds) or any(
            answer.verdict is Verdict.REFRESH or (answer.verdict is Verdict.STOP and answer.scope is not Scope.PLATFORM)
            for answer in answers.values()
        )

    def close_over(self, trouble: Trouble) -> None:
        """Close the gate, as a batch could not be sent for want of a credential or a setting."""
        remedy = GOES_ON if isinstance(trouble, CredentialUnavailable) else MEND
        self.gate.stop(str(trouble), remedy, steady())

    async def _refresh(self, flight: Flight) -> None:
        refused = flight.refused if isinstance(flight, PacedFlight) else flight
        if refused is None:
            return
        try:
            renewal = await self._lane.refused(refused)
        except (CredentialError, CredentialUnavailable) as error:
            self.close_over(error)
            return
        if not renewal.renewed:
            self.gate.stop(renewal.explanation, GOES_ON, steady(), renewal.wait)

    def _be_quiet(self, seconds: float) -> None:
        self._hear_of_quiet(seconds)
        if self.budget is not None:
            self.budget.be_quiet(seconds)

    def _hear_of_quiet(self, seconds: float) -> None:
        self.gate.throttle(seconds, steady())

    # -- what people see and mend -----------------------------------------------------------------------------------

    def is_closed(self) -> bool:
        """Whether nothing may be sent before some time that is still to come."""
        return self.gate.closed_until > steady()

    def until_open(self) -> float:
        """Seconds for which a batch is given back while nothing may be sent; 0 where something may. Few where that may
        be mended any moment: nothing is taken before it is anyway."""
        closed = max(0.0, self.gate.closed_until - steady())
        return closed if self.gate.problem is None else min(closed, LONGEST_WAIT)

    async def report(self) -> None:
        """Tell what keeps the lane from sending, once, and look whether its credentials were mended."""
        problem = self.problem
        if steady() >= self._reload_at:
            self._reload_at = steady() + RELOAD
            try:
                changed = await self._lane.reload()
                self._warned = ""
                if changed:
                    logger.info("the credentials of %s were read", self._lane.name, extra={"lane": self._lane.name})
                    self.blamed = False
                    self.gate.reset()
            except (CredentialError, InvalidConfiguration) as error:
                if self.gate.problem is None and str(error) != self._warned:  # else that says what is wrong
                    name, facts = self._lane.name, {"lane": self._lane.name, "problem": str(error)}
                    logger.warning("the credential files of %s cannot be used: %s", name, error, extra=facts)
                    self._warned = str(error)
        if problem != self._reported:
            self._log(problem)
            self._reported = problem
            await self._desk.report(self._lane.name, problem)

    def _log(self, problem: Problem | None) -> None:
        """That the lane closes or its provider is silent, once for each reason, and that it sends again."""
        name, before = self._lane.name, None if self._reported is UNTOLD else self._reported
        if problem is None:
            if before is not None:
                logger.info("the lane %s sends again", name, extra={"lane": name})
        elif before is None or before.what != problem.what:
            facts = {"lane": name, "problem": problem.what, "remedy": problem.remedy}
            state = "is closed" if problem is self.gate.problem else "waits"
            logger.warning("the lane %s %s: %s; %s", name, state, problem.what, problem.remedy, extra=facts)
