"""How a campaign is shown: a live view while it runs, lines where there is no terminal, and the report at the end.

Rules: what is shown comes from `Progress` and `Report` objects alone, and the clock from their `at`, so that any moment
can be drawn in a test. It fits 80 columns. Nothing but figures, lanes and reasons is shown: no address, no secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stentor import words
from stentor.audience.described import described
from stentor.cli.styles import BAD, CARE, GOOD, REST
from stentor.planning.contract import decode_timing
from stentor.planning.timing.sentences import described_timing
from stentor.recording.audit import Audit
from stentor.recording.meanings import meaning
from stentor.recording.rates import LaneRates, expected, lanes_of, remaining, time_left
from stentor.recording.report import LaneCounts, LaneProblem, Progress, Report
from stentor.recording.shapes import selection_of
from stentor.runtime.sentences import UNSEEN, changes_unseen, standing_still
from stentor.states import FINAL, CampaignState
from stentor.store.campaigns import Campaign

LINE_EVERY = 5.0
"""Seconds between two lines where there is no terminal."""
WIDEST_NAME = 20
STATE_STYLES = {
    CampaignState.RUNNING: "bold",
    CampaignState.COMPLETED: GOOD,
    CampaignState.FAILED: BAD,
    CampaignState.PAUSED: CARE,
}


def view(progress: Progress, pace: LaneRates, *, note: str = "") -> RenderableType:
    """All there is to see at one moment."""
    names = lanes_of(progress)
    parts: list[RenderableType] = [_headline(progress)]
    figures = {lane: _figures(progress, pace, lane) for lane in names}
    widths = [max(map(len, column)) for column in zip(*figures.values(), strict=True)]
    for lane in names:
        parts.append(_lane(progress, lane, figures[lane], widths))
        if len(names) > 1:
            parts.append(Text(f"  {_places(progress.lanes.get(lane, LaneCounts()))}", style="dim"))
    parts.append(_sums(progress, pace))
    parts += [_problem(lane, problem) for lane, problem in progress.problems.items()]
    if progress.campaign.problem:
        parts.append(Text(progress.campaign.problem, style=BAD))
    if note:
        parts.append(Text(note, style=CARE))
    return Group(*parts)


def _headline(progress: Progress) -> Text:
    campaign = progress.campaign
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(campaign.title, style="bold")
    line.append(f"  {campaign.id}  ", style="dim")
    line.append(campaign.state.value, style=STATE_STYLES.get(campaign.state, ""))
    starts_at = campaign.starts_at
    if starts_at is not None and campaign.state not in FINAL:
        since = progress.at - starts_at
        line.append(f"  {words.countdown(since)}" if since >= 0 else f", starts in {words.countdown(-since)}")
    return line


def _figures(progress: Progress, pace: LaneRates, lane: str) -> tuple[str, ...]:
    """A lane's name, share, count, rate, and time left."""
    settled = progress.lanes.get(lane, LaneCounts()).settled
    total = expected(progress, lane)
    rate = pace.rate(lane)
    left = remaining(progress, pace, lane)
    return (
        words.lane_name(lane),
        words.share(settled, total),
        f"{settled:,}/{total:,}",
        f"{rate:,.0f}/s" if rate else "",
        words.countdown(left) if left else "",
    )


def _lane(progress: Progress, lane: str, figures: Sequence[str], widths: Sequence[int]) -> Table:
    """A bar with the lane's figures; a table of its own, so that what is below may have the whole width."""
    name, *numbers = figures
    row = Table.grid(padding=(0, 1))
    row.expand = True
    row.add_column(width=min(widths[0], WIDEST_NAME), no_wrap=True)
    row.add_column(ratio=1, min_width=4)
    for width in widths[1:]:
        row.add_column(width=width, justify="right", no_wrap=True)
    total = max(1, expected(progress, lane))
    done = min(total, progress.lanes.get(lane, LaneCounts()).settled)
    problem = progress.problems.get(lane)
    style = "" if problem is None else BAD if problem.waiting is None else CARE
    bar = ProgressBar(total=total, completed=done, style=REST, complete_style=GOOD, finished_style=GOOD)
    row.add_row(Text(name, style=style, overflow="ellipsis"), bar, *numbers)
    return row


def _places(counts: LaneCounts) -> str:
    told = [f"{counts.accepted:,} accepted", f"{counts.failed:,} failed", f"{counts.retrying:,} retrying"]
    if counts.cancelled:
        told.append(f"{counts.cancelled:,} cancelled")
    return ", ".join(told)


def _sums(progress: Progress, pace: LaneRates) -> Text:
    total = progress.total
    rate = sum(map(pace.rate, lanes_of(progress)))
    line = Text(overflow="fold")
    line.append(f"{total.accepted:,} accepted", style=GOOD)
    line.append(f", {total.failed:,} failed")
    line.append(f", {total.retrying:,} retrying")
    if total.held:
        line.append(f", {_held(progress)}")
    if total.cancelled:
        line.append(f", {total.cancelled:,} cancelled")
    if progress.state is CampaignState.RUNNING:
        line.append(f", {rate:,.0f}/s{_left(progress, pace)}")
    return line


def _held(progress: Progress) -> str:
    told = f"{progress.total.held:,} held"
    if progress.next_wave is not None:
        told += f", the next until {words.clock(progress.next_wave)}"
    return told


def _left(progress: Progress, pace: LaneRates) -> str:
    left = time_left(progress, pace)
    return "" if left is None else f", about {words.countdown(left)} left"


def _problem(lane: str, problem: LaneProblem) -> Text:
    line = Text(standing_still(lane, problem), style=BAD if problem.waiting is None else CARE)
    if problem.until is not None:
        line.append(f" It is tried again at {words.clock(problem.until)}.", style="dim")
    return line


def line(progress: Progress, pace: LaneRates) -> str:
    """One moment in one line, for logs and pipes."""
    total = progress.total
    everybody = sum(expected(progress, lane) for lane in lanes_of(progress))
    rate = sum(map(pace.rate, lanes_of(progress)))
    parts = [
        f"{progress.state}: {total.settled:,} of {everybody:,} ({words.share(total.settled, everybody)})",
        f"{total.failed:,} failed",
    ]
    if total.held:
        parts.append(_held(progress))
    if total.retrying:
        parts.append(f"{total.retrying:,} retrying")
    if progress.state is CampaignState.RUNNING:
        parts.append(f"{rate:,.0f}/s{_left(progress, pace)}")
    return f"{words.clock(progress.at)[11:]} {', '.join(parts)}"


class LiveView:
    """Shows progress on a console as it comes: redrawn in place on a terminal, a line now and then anywhere else."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._pace = LaneRates()
        self._note = ""
        self._last: Progress | None = None
        self._lined: Progress | None = None
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()
        elif self._last is not None and self._last is not self._lined:
            self._print_line(self._last)

    def show(self, progress: Progress) -> None:
        """Show how far it is now."""
        self._pace.add(progress)
        self._last = progress
        if self._live:
            self._live.update(view(progress, self._pace, note=self._note), refresh=True)
        elif self._worth_a_line(progress):
            self._print_line(progress)

    def note(self, text: str) -> None:
        """Show something that is not about how far it is, e.g. that it is being paused."""
        self._note = text
        if self._live and self._last:
            self._live.update(view(self._last, self._pace, note=text), refresh=True)
        elif not self._live:
            self._console.print(text, soft_wrap=True, highlight=False, markup=False)

    def _worth_a_line(self, progress: Progress) -> bool:
        before = self._lined
        return (
            before is None
            or progress.at - before.at >= LINE_EVERY
            or progress.state is not before.state
            or progress.problems.keys() != before.problems.keys()
        )

    def _print_line(self, progress: Progress) -> None:
        before: Mapping[str, LaneProblem] = self._lined.problems if self._lined else {}
        for lane, problem in progress.problems.items():
            if lane not in before:
                self._console.print(_problem(lane, problem), soft_wrap=True)
        self._console.print(line(progress, self._pace), soft_wrap=True, highlight=False, markup=False)
        self._lined = progress


def account(report: Report) -> RenderableType:
    """The report: campaign, audience, how many were reached, why the others weren't, how long it took."""
    campaign, total = report.campaign, report.total
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    state = Text(campaign.state.value, style=STATE_STYLES.get(campaign.state, ""))
    facts.add_row("campaign", Text(campaign.id))
    facts.add_row("title", Text(campaign.title))
    facts.add_row("state", state if not campaign.problem else state.append(f": {campaign.problem}"))
    selection = selection_of(campaign)
    facts.add_row("audience", Text(described(selection)))
    for name, told in _made_of(campaign):
        facts.add_row(name, Text(told))
    facts.add_row("installations", f"{total.read:,}")
    changes = selection.reached_by is not None  # an undo, or an edit
    unseen = changes_unseen(report)
    done = "changed" if changes and not unseen else "accepted"
    facts.add_row(done, f"{total.accepted:,} ({words.share(total.accepted, total.read)})")
    if changes and unseen:
        facts.add_row("", UNSEEN)
    facts.add_row("failed", f"{total.failed:,} ({words.share(total.failed, total.read)})")
    for name, number in (("cancelled", total.cancelled), ("pending", total.pending)):
        if number:
            facts.add_row(name, f"{number:,}")
    if report.unread:
        facts.add_row("unread", f"about {report.unread:,}: the audience was not read to its end")
    if report.left_out:
        facts.add_row("left out by a rule", f"{report.left_out:,}, counted among the rejected")
    if report.dead:
        facts.add_row("dead addresses", f"{report.dead:,}")
    if report.dead_letters:
        facts.add_row("put aside", f"{report.dead_letters:,} that could not be processed, the latest of them:")
        for letter in report.put_aside:
            facts.add_row("", Text(f"{letter.id}: {letter.reason}"))
    if report.seconds:
        facts.add_row("took", f"{words.lasted(report.seconds)}, {report.rate:,.0f} a second")
    if report.paused:
        facts.add_row("paused", words.lasted(report.paused))
    return Group(facts, "", _reasons(report)) if report.reasons else facts


def _made_of(campaign: Campaign) -> Iterator[tuple[str, str]]:
    if when := described_timing(decode_timing(campaign.timing)):
        yield "timing", when
    if campaign.template is not None:
        yield "template", f"{campaign.template.name}, version {campaign.template.version}"


def proof(found: Audit) -> RenderableType:
    """What an audit looked at, whether it holds, and the verdict."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in found.checks:
        state = Text("ok", style=GOOD) if check.ok else Text("WRONG", style=BAD)
        table.add_row(state, check.name, Text(check.detail))
    exact = Text("exact: every recipient is accounted for, once", style=GOOD)
    return Group(table, exact if found.exact else Text("not exact", style=BAD))


def _reasons(report: Report) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, title_justify="left")
    table.add_column("failed", justify="right", no_wrap=True)
    table.add_column("reason", overflow="fold")
    table.add_column("lane", no_wrap=True)
    table.add_column("what it means", overflow="fold")
    for lane, reasons in report.reasons.items():
        for each in reasons:
            told = meaning(lane, each.reason, each.outcome) or each.detail
            table.add_row(f"{each.count:,}", Text(each.reason), words.lane_name(lane), Text(told))
    return table
