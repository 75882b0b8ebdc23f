"""The simulator of one measurement, in a process of its own: says where it is, serves until stdin ends, sums up.

`fast` is the one that benchmarks are made against. `strict` is for a client that cannot work with the fast one's
constant `apns-id`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from stentor.simulators.apns import ApnsSimulator
from stentor.simulators.apns.credentials import mint_key
from stentor.simulators.fast import FastSimulator


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("provider", choices=["apns", "fcm"])
    parser.add_argument("mode", choices=["fast", "strict"])
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="stentor-peers-") as directory,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_serve(chosen.provider, chosen.mode, Path(directory)))


async def _serve(provider: Any, mode: str, directory: Path) -> None:
    simulator = (
        ApnsSimulator(directory=directory) if mode == "strict" else FastSimulator(provider, directory=directory)
    )
    async with simulator:
        key = mint_key(directory)  # for clients that sign tokens; the fast simulator looks at none
        _say({"key_file": str(key.path), "key_id": key.key_id, "team_id": key.team_id} | simulator.facts())
        cpu_before = time.process_time()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        _say({"accepted": simulator.summary()["accepted"], "cpu": time.process_time() - cpu_before})


def _say(facts: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
