"""Measures Stentor and its peers on the same fast simulator, one after the other, in one run.

    python bench/peers/run.py                  all peers, 5 s each
    python bench/peers/run.py --seconds 2 --only httpx --only stentor-apns
    python bench/peers/run.py --json

Every peer is a process of its own, and so is the simulator. A peer that cannot be measured gets a row that says why.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stentor.bench.processes import simulator
from stentor.simulators.apns.credentials import mint_key

ROOT = Path(__file__).parents[2]
TRIAL_SECONDS = 1.0
"""What each concurrency is tried for before the best is measured."""
PATIENCE = 90.0
"""Seconds, beyond ten times what it was asked to send for, after which a peer that hangs is ended."""


class NotMeasuredError(Exception):
    """A peer cannot be measured here; the message says why."""


@dataclass(frozen=True, slots=True)
class Contender:
    name: str
    provider: str
    concurrencies: tuple[int, ...]
    """Sends under way at once; the best in a short trial is measured."""
    prepare: Callable[[Path], tuple[list[str], str]]
    """The command that starts it and its version; raises NotMeasuredError. May build in the folder given."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the result. `rate` in pushes a second, `cpu_us` in µs of user and system time for one push."""

    name: str
    version: str = ""
    rate: float | None = None
    cpu_us: float | None = None
    of_stentor: float | None = None
    """Rate to that of Stentor in the same shape and run."""
    accepted: int = 0
    failed: int = 0
    concurrency: int = 0
    note: str = ""
    """Why it wasn't measured, or the first failure."""


def _python(module: str, distribution: str, *arguments: str) -> Callable[[Path], tuple[list[str], str]]:
    def prepare(_: Path) -> tuple[list[str], str]:
        try:
            version = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            raise NotMeasuredError(f"{distribution} is not installed") from None
        return [sys.executable, "-m", f"bench.peers.{module}", *arguments], version

    return prepare


def _go(folder: str, package: str) -> Callable[[Path], tuple[list[str], str]]:
    def prepare(build: Path) -> tuple[list[str], str]:
        if shutil.which("go") is None:
            raise NotMeasuredError("Go is not installed")
        source = Path(__file__).parent / folder
        binary = build / folder
        built = subprocess.run(
            ["go", "build", "-o", binary, "."], cwd=source, capture_output=True, text=True, check=False
        )
        if built.returncode:
            raise NotMeasuredError(f"it could not be built: {built.stderr.strip()[-300:]}")
        module = subprocess.run(["go", "list", "-m", package], cwd=source, capture_output=True, text=True, check=True)
        return [str(binary)], module.stdout.split()[1]

    return prepare


CONTENDERS = (
    Contender("stentor-apns", "apns", (8,), _python("stentor_peer", "stentor", "apns")),
    Contender("stentor-fcm", "fcm", (8,), _python("stentor_peer", "stentor", "fcm")),
    Contender("apns2", "apns", (100, 500, 1000), _go("apns2", "github.com/sideshow/apns2")),
    Contender("gorush", "apns", (100, 500, 1000), _go("gorush", "github.com/appleboy/gorush")),
    Contender("aioapns", "apns", (100, 500, 1000), _python("aioapns_peer", "aioapns")),
    Contender("httpx", "apns", (20, 100), _python("httpx_peer", "httpx")),
    Contender("firebase-admin", "fcm", (1, 2), _python("firebase_admin_peer", "firebase-admin")),
)


def measure(contender: Contender, seconds: float, build: Path) -> Row:
    command, version = contender.prepare(build)
    with simulator(contender.provider, "--mode", "fast") as (facts, _):
        key = mint_key(build)  # for clients that sign tokens; the fast simulator looks at none
        facts |= {"key_file": str(key.path), "key_id": key.key_id, "team_id": key.team_id}
        best, concurrency = 0.0, contender.concurrencies[0]
        if len(contender.concurrencies) > 1:
            for candidate in contender.concurrencies:
                tried = _run(command, facts, candidate, min(TRIAL_SECONDS, seconds))
                rate = tried["accepted"] / tried["seconds"]
                if rate > best:
                    best, concurrency = rate, candidate
        found = _run(command, facts, concurrency, seconds)
    accepted = found["accepted"]
    return Row(
        name=contender.name,
        version=version,
        rate=round(accepted / found["seconds"], 1),
        cpu_us=round(found["cpu"] / accepted * 1e6, 2) if accepted else None,
        accepted=accepted,
        failed=found["failed"],
        concurrency=concurrency,
        note=found["error"] or "",
    )


def _run(command: list[str], facts: dict[str, Any], concurrency: int, seconds: float) -> dict[str, Any]:
    """Run a peer once; adds `cpu`, the seconds of CPU its whole process used after its warm-up."""
    options = ["--simulator", json.dumps(facts), "--concurrency", str(concurrency), "--seconds", str(seconds)]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [*command, *options], cwd=ROOT, env=_without_proxies(), stdout=subprocess.PIPE, stderr=errors
        )
        assert process.stdout is not None
        watchdog = threading.Timer(10 * seconds + PATIENCE, process.kill)
        watchdog.start()
        out = process.stdout.read()
        process.stdout.close()
        _, status, usage = os.wait4(process.pid, 0)
        watchdog.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode or not out:
            errors.seek(0)
            words = errors.read().decode(errors="replace").strip()[-300:]
            raise NotMeasuredError(f"it ended with {process.returncode}: {words or 'it hung, or said nothing'}")
    found: dict[str, Any] = json.loads(out)
    found["cpu"] = usage.ru_utime + usage.ru_stime - found["startup_cpu"]
    return found


def _without_proxies() -> dict[str, str]:
    """The environment of a peer: what it sends must stay on this machine, whatever proxy is set for the rest."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def run(seconds: float, only: list[str]) -> list[Row]:
    rows: list[Row] = []
    reference: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="stentor-peers-") as directory:
        for contender in CONTENDERS:
            if only and contender.name not in only:
                continue
            print(f"{contender.name} …", file=sys.stderr, flush=True)
            try:
                row = measure(contender, seconds, Path(directory))
            except NotMeasuredError as why:
                rows.append(Row(name=contender.name, note=f"not measured: {why}"))
                continue
            if contender.name.startswith("stentor"):
                reference[contender.provider] = row.rate or 0.0
            if row.rate and reference.get(contender.provider):
                row = Row(**{**asdict(row), "of_stentor": round(row.rate / reference[contender.provider], 4)})
            rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each peer sends (default 5)")
    parser.add_argument("--only", action="append", default=[], choices=[each.name for each in CONTENDERS])
    parser.add_argument("--json", action="store_true", help="print one JSON array and nothing else")
    chosen = parser.parse_args()
    rows = run(chosen.seconds, chosen.only)
    if chosen.json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    _print_table(rows)


def _line(cells: tuple[str, ...]) -> str:
    layout = ("<14", "<12", ">10", ">12", ">10", ">8", ">11", ">7")
    return " ".join(format(text, how) for text, how in zip(cells, layout, strict=True))


def _print_table(rows: list[Row]) -> None:
    headings = ("peer", "version", "pushes/s", "CPU each", "of Stentor", "at once", "accepted", "failed")
    print(_line(headings))
    for row in rows:
        if row.rate is None or row.cpu_us is None:
            print(f"{row.name:14} {row.version:12} {row.note}")
            continue
        share = "–" if row.of_stentor is None else f"{row.of_stentor:.4f}"
        numbers = (f"{row.rate:,.0f}", f"{row.cpu_us:,.1f} µs", share, str(row.concurrency), f"{row.accepted:,}")
        print(f"{_line((row.name, row.version, *numbers, str(row.failed)))}  {row.note}".rstrip())


if __name__ == "__main__":
    main()
