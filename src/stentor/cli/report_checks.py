"""What `stentor doctor` finds about the targets of reports. None is told anything: `stentor report test` does that."""

from __future__ import annotations

from stentor.config import Config
from stentor.findings import Finding, problem
from stentor.reporting.targets import open_receiver


async def check_reports(config: Config) -> list[Finding]:
    """Whether the settings of each target can be used."""
    found = []
    for name, target in config.reports.targets.items():
        check, receiver = f"reports.targets.{name}", open_receiver(name, target)
        wrong = await receiver.check()
        if wrong is None:
            said = f"a {receiver.kind}; `stentor report test {name}` shows whether it takes reports"
            found.append(Finding(check=check, detail=said))
        else:
            found.append(problem(check, wrong.removeprefix(f"{check}: "), f"Correct [{check}]."))
    return found
