"""`stentor roles`: who does the work, on which machines, and since when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from stentor import words
from stentor.answer_times import AnswerTimeFigures
from stentor.cli.operations import AsJson, ConfigFile, console, perform
from stentor.cli.printing import say
from stentor.cli.styles import BAD, CARE
from stentor.runtime import shapes
from stentor.runtime.role_signs import RoleState, RoleStatus
from stentor.runtime.sentences import answered, sign_of
from stentor.runtime.stentor import Stentor
from stentor.settings import listed
from stentor.store.role_processes import ProcessSign

STATES = {
    RoleState.WORKING: "at work",
    RoleState.IDLE: "nothing to do",
    RoleState.WAITED_FOR: "waited for",
    RoleState.HINDERED: "hindered",
}
NOBODY = (
    "No process shows that it runs. `stentor serve` starts all roles; `stentor send` starts those that its campaign"
    " needs."
)


def roles(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Show the roles: whether there is work for them, and which processes do it, on which machine, since when.

    Each process shows itself every ten seconds. One that has shown no sign for 30 seconds may have been killed, or cut
    off from the store. It is listed for an hour.

    \b
    Examples:
      stentor roles
      stentor roles --json
    """

    async def look(
        stentor: Stentor,
    ) -> tuple[Sequence[RoleStatus], Sequence[ProcessSign], Mapping[str, AnswerTimeFigures]]:
        lanes = stentor.lanes
        return await lanes.roles(), await lanes.processes(), await lanes.answer_times()

    signs, processes, times = perform(config, look)
    if as_json:
        say(shapes.roles(signs, processes))
        return
    out = console()
    out.print(_work(signs, times))
    out.print()
    for each in processes:
        out.print(_line(each), soft_wrap=True)
    if not processes:
        out.print(NOBODY, soft_wrap=True)


def _work(signs: Sequence[RoleStatus], times: Mapping[str, AnswerTimeFigures]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("role", "lane", "state"):
        table.add_column(heading)
    table.add_column("", overflow="fold", min_width=12)
    for each in signs:
        said = Text(str(each.problem), style=BAD) if each.problem is not None else Text("")
        if each.problem is None and each.lane is not None and each.lane in times:
            said = Text(answered(times[each.lane]))
        table.add_row(each.role, Text(each.lane or ""), STATES[each.state], said)
    return table


def _line(process: ProcessSign) -> Text:
    lanes = f" for {listed(sorted(process.lanes))}" if process.lanes else ""
    return Text.assemble(
        f"{process.role} on {process.host}{lanes}, running since {words.clock(process.started_at)}"
        f" (pid {process.pid}, version {process.version}): ",
        (sign_of(process), CARE if process.is_silent else ""),
    )
