"""Prints JSON: one object a line, on stdout."""

from __future__ import annotations

import json
import sys

import msgspec


def say(shape: object) -> None:
    """Print one object on a line of stdout."""
    sys.stdout.write(json.dumps(msgspec.to_builtins(shape), ensure_ascii=False) + "\n")
    sys.stdout.flush()
