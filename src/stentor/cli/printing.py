"""Prints JSON: one object a line, on stdout."""

from __future__ import annotations

import sys

import msgspec


def say(shape: object) -> None:
    """Print one object on a line of stdout."""
    sys.stdout.write(msgspec.json.encode(shape).decode() + "\n")
    sys.stdout.flush()
