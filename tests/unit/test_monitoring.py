"""The board for Grafana and the alerts for Prometheus are well-formed, and say what to do.

That each metric and label they name exists is shown by real processes: `integration/runtime/test_monitoring.py`.
"""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any, get_args

import pytest

from stentor.runtime.child import Role
from tests.monitoring import DEPLOY, board, expressions, rules
from tests.promql import ExpressionError, read

ROWS = ["Campaigns", "Lanes", "Queue", "Recorders", "API", "Processes"]
WIDTH = 24
"""Columns of a board."""


@pytest.mark.parametrize(
    ("where", "expression", "labels"), [*expressions()], ids=lambda each: "" if isinstance(each, set) else each[:40]
)
def test_each_expression_is_one_and_has_the_labels_that_its_text_shows(
    where: str, expression: str, labels: set[str]
) -> None:
    query = read(expression)
    assert query.selectors, where
    if " by " in expression:
        assert labels <= query.labels, where


@pytest.mark.parametrize(
    "expression",
    [
        "sum(rate(a_total[5m])",
        "rate(a_total)",
        "sum(a[5m])",
        "a[5m]",
        "a unless 3",
        'a{b="c"',
        "a{b=c}",
        "a b",
        "frobnicate(a)",
        "sum by lane (a)",
        "1 +",
        "topk(a)",
        "topk(a, a)",
        "a ? b",
    ],
)
def test_a_wrong_expression_is_noticed(expression: str) -> None:
    with pytest.raises(ExpressionError):
        read(expression)


def test_what_an_expression_names() -> None:
    query = read(
        'sum by (lane, le) (rate(a_total{b="c", lane=~"$lane"}[$__rate_interval])) / on (job) group_left (role) d'
    )
    assert query.selectors == [("a_total", {"b", "lane"}), ("d", frozenset())]
    assert query.labels == {"lane", "le", "job", "role"}


def test_the_board_is_of_the_schema_that_every_grafana_imports() -> None:
    found = board()
    assert found["schemaVersion"] == 42
    assert (found["uid"], found["title"]) == ("stentor", "Stentor")
    assert "id" not in found, "Grafana gives it one"
    assert [each["name"] for each in found["templating"]["list"]] == ["datasource", "lane"]


def test_panels_have_ids_of_their_own_and_dont_overlap() -> None:
    panels = board()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert [panel["title"] for panel in panels if panel["type"] == "row"] == ROWS
    for one, other in combinations(panels, 2):
        assert not _overlap(one["gridPos"], other["gridPos"]), (one["title"], other["title"])
    assert all(0 <= each["gridPos"]["x"] <= WIDTH - each["gridPos"]["w"] for each in panels)


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


def test_every_panel_asks_the_chosen_source() -> None:
    for panel in board()["panels"]:
        targets = panel.get("targets", [])
        assert bool(targets) is (panel["type"] != "row"), panel["title"]
        assert len({target["refId"] for target in targets}) == len(targets)
        for each in [panel, *targets] if targets else []:
            assert each["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_each_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert rule["annotations"].keys() == {"summary", "description"}
    assert rule["annotations"]["description"].endswith(".")


def test_the_page_has_every_alert_and_scrapes_every_role() -> None:
    page = (DEPLOY.parent / "docs" / "metrics.md").read_text("utf-8")
    table = "".join(line for line in page.splitlines() if line.startswith("| `Stentor"))
    assert set(re.findall(r"`(Stentor\w+)`", table)) == {rule["alert"] for rule in rules()}
    targets = re.search(r"targets: \[(.*)\]", page)
    assert targets is not None
    assert {each.rpartition("-")[0] for each in re.findall(r'"([\w-]+):', targets[1])} == set(get_args(Role))


def test_alerts_have_names_of_their_own() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    assert all(name.startswith("Stentor") for name in names)
