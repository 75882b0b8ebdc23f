"""The expressions of the files for Grafana and Prometheus, with the labels that their texts use."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

DEPLOY = Path(__file__).parents[1] / "deploy"
BOARD = DEPLOY / "grafana" / "stentor.json"
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"


LEFT_OUT = {
    "process_max_fds": "a limit that doesn't change; `stentor doctor` says it",
    "process_start_time_seconds": "restarts are on the board",
    "process_virtual_memory_bytes": "says nothing of the memory that is used; what is used is on the board",
}
"""Metrics that the board doesn't show, and why."""


def board() -> dict[str, Any]:
    found = json.loads(BOARD.read_text("utf-8"))
    assert isinstance(found, dict)
    return found


def rules() -> list[dict[str, Any]]:
    (group,) = YAML(typ="safe", pure=True).load(ALERTS.read_text("utf-8"))["groups"]
    return list(group["rules"])


def expressions() -> Iterator[tuple[str, str, set[str]]]:
    """(where, expression, labels in its legend or its texts) of each panel, variable and alert."""
    yield from of_board()
    for rule in rules():
        yield rule["alert"], rule["expr"], set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))


def of_board() -> Iterator[tuple[str, str, set[str]]]:
    for panel in board()["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"], set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
    for variable in board()["templating"]["list"]:
        if variable["type"] == "query":
            named = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"])
            assert named, variable["definition"]
            yield variable["name"], named[1], {named[2]}
