"""The README's Python example, run as it stands, against the simulator it names."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

from stentor.simulators.apns import ApnsSimulator
from stentor.simulators.faults import Devices, Faults

README = Path(__file__).parents[2] / "README.md"


async def test_the_example_runs_and_its_account_is_right(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    async with ApnsSimulator(faults=Faults(devices=Devices(unregistered=0.02)), seed=3) as simulator:
        (tmp_path / "rehearsal.json").write_text(json.dumps(simulator.facts()) + "\n")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", example, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    first, *refused = out.decode().splitlines()
    assert first == f"{len(simulator.ledger)} accepted, {len(refused)} not"
    assert len(simulator.ledger) + len(refused) == 1000
    assert refused
    assert {line.split(" ", 1)[1] for line in refused} == {"DROP Unregistered"}
