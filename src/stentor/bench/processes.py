"""Simulators in processes of their own: what they cost isn't charged to the sender, and nothing is left over."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stentor.errors import StentorError

STOP_TIMEOUT = 5.0
"""Seconds a simulator has to clean up after itself."""


@contextmanager
def simulator(provider: str, *options: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """`stentor simulate PROVIDER` with these options, on free ports.

    Yields its facts (ports, CA file, keys), and a dict that holds its closing summary once the context is left.

    Raises:
        StentorError: it did not start; its own words are on stderr.
    """
    command = [sys.executable, "-m", "stentor.cli", "simulate", provider, "--port", "0", "--json", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    summary: dict[str, Any] = {}
    try:
        line = process.stdout.readline()
        if not line:
            raise StentorError(f"the {provider} simulator did not start")
        yield json.loads(line), summary
        process.send_signal(signal.SIGTERM)
        summary.update(json.loads(process.stdout.readline() or "{}"))
    finally:
        process.terminate()
        try:
            process.communicate(timeout=STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
