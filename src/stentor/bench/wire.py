"""`stentor bench wire`: our sender against the fast simulators, and h2load against nghttpd, in one run.

Each measurement has two processes, a client and a server, so that on two cores each has its own; they run one after
the other. Ratios are to the better of h2load's two shapes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from stentor.bench import h2load
from stentor.bench.load import Spec, Throughput
from stentor.bench.processes import simulator
from stentor.counted import counted

Shape = Literal["apns", "fcm"]
SHAPES: tuple[Shape, ...] = ("apns", "fcm")
LATENCY = 0.05
LATENCY_CONNECTIONS = 16
STREAMS = {"apns": 1000, "fcm": 100}
CONNECTIONS = {"apns": 1, "fcm": 10}


def run(requests: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure everything; `say` is told what is being measured.

    Returns: a JSON object, described in `bench/README.md`.
    """
    found: dict[str, Any] = {"requests": requests, "h2load": yardstick(requests, say)}
    best = found["h2load"].get("rate")
    for shape in SHAPES:
        say(f"{shape}: {counted(requests, 'push', 'pushes')} to the fast simulator")
        plain, server_cpu = push(shape, requests, connections=CONNECTIONS[shape], in_flight=8, latency=0.0)
        say(f"{shape}: the same with {LATENCY * 1000:.0f} ms latency and up to {LATENCY_CONNECTIONS} connections")
        delayed = _with_latency(shape, requests, plain)
        found[shape] = {
            "rate": round(plain.rate),
            "cpu_us": round(plain.cpu_us, 2),
            "ratio": round(plain.rate / best, 3) if best else None,
            "same_shape_ratio": round(plain.rate / found["h2load"][shape]["rate"], 3) if best else None,
            "accepted": plain.accepted,
            "failed": plain.failed,
            "connections": plain.connections,
            "simulator_cpu_us": server_cpu,
            "peak_mb": round(plain.peak_mb, 1),
            "quarter_mb": round(plain.quarter_mb, 1),
            "latency": delayed,
        }
    return found


def yardstick(requests: int, say: Callable[[str], None]) -> dict[str, Any]:
    """h2load in both shapes; `rate` is the better one's, None where h2load isn't installed."""
    if absent := h2load.missing():
        say(f"h2load: {absent}; ratios are left out")
        return {"rate": None, "missing": absent}
    shapes: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="stentor-bench-") as directory:
        for shape in SHAPES:
            say(f"h2load: {counted(requests, 'request')} in {shape}'s shape to nghttpd")
            measured = h2load.measure(shape, requests, Path(directory, shape))
            shapes[shape] = {"rate": round(measured.rate), "cpu_us": round(measured.cpu_us, 2)}
    return {"rate": max(shape["rate"] for shape in shapes.values()), **shapes}


def _with_latency(shape: Shape, requests: int, plain: Throughput) -> dict[str, Any]:
    """The run with latency. What streams and latency allow at most is given beside what was reached."""
    ceiling = LATENCY_CONNECTIONS * STREAMS[shape] / LATENCY
    # Enough batches that their stragglers leave no stream idle, and for FCM's narrow ceiling a shorter run.
    fewer = min(requests, round(ceiling * 8))
    in_flight = max(8, 3 * LATENCY_CONNECTIONS * STREAMS[shape] // 1000)
    measured, _ = push(shape, fewer, connections=LATENCY_CONNECTIONS, in_flight=in_flight, latency=LATENCY)
    return {
        "median_ms": LATENCY * 1000,
        "rate": round(measured.rate),
        "cpu_us": round(measured.cpu_us, 2),
        "connections": measured.connections,
        "of_no_latency": round(measured.rate / plain.rate, 3),
        "ceiling": round(ceiling),
        "of_ceiling": round(measured.rate / ceiling, 3),
        "accepted": measured.accepted,
        "failed": measured.failed,
    }


def push(shape: Shape, requests: int, *, connections: int, in_flight: int, latency: float) -> tuple[Throughput, float]:
    """One sender process against one fast simulator; returns what it measured and the simulator's CPU a request."""
    with simulator(shape, "--mode", "fast", "--latency", str(latency)) as (facts, summary):
        spec = Spec(
            provider=shape,
            port=facts["port"],
            ca_file=facts["ca_file"],
            requests=requests,
            connections=connections,
            in_flight=in_flight,
        )
        sender = subprocess.run(
            [sys.executable, "-m", "stentor.bench.load", msgspec.json.encode(spec).decode()],
            capture_output=True,
            text=True,
            check=False,
        )
        if sender.returncode:
            raise RuntimeError(f"the sender failed:\n{sender.stderr[-2000:]}")
        measured = msgspec.json.decode(sender.stdout, type=Throughput)
    return measured, summary["cpu_us"]
