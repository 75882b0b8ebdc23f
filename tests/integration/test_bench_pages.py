"""`stentor bench pages` asks for every page of the dashboard, over a store with all it says."""

from __future__ import annotations

import json
import re

from typer.testing import CliRunner

from stentor.bench import pages as bench
from stentor.cli.main import app
from stentor.dashboard.pages import ALL

ELSEWHERE = {
    "/": "leads to the list",
    "/sign-in": "for those who are not signed in",
    "/sign-in/provider": "leads to the provider",
    "/sign-in/callback": "for those who come back from the provider",
    "/link/{}": "for those who are not signed in",
    "/campaigns/{}/failures/export": "a file, of any length",
    "/campaigns/{}/report": "a file: it counts every failure",
    "/campaigns/{}/start": "of a draft",
    "/campaigns/{}/compose": "of a draft",
    "/campaigns/{}/discard": "of a draft",
    "/campaigns/{}/held": "of a campaign that waits for its start",
    "/campaigns/{}/check": "of a draft",
    "/campaigns/{}/check/count": "counts the audience",
    "/campaigns/{}/check/test": "a recipient or a few",
    "/campaigns/{}/pause": "of a campaign that is being sent",
    "/campaigns/{}/resume": "of a campaign that is paused",
    "/campaigns/{}/cancel": "of a campaign that is being sent",
    "/campaigns/{}/undo": "counts whom the campaign reached",
    "/campaigns/{}/edit": "the message alone",
    "/campaigns/{}/release": "of a campaign whose others wait for it",
    "/campaigns/{}/repeat": "a form",
    "/series": "as many as people made by hand",
    "/series/{}": "one, with its newest runs",
    "/series/{}/delete": "one",
    "/messages/{}": "a recipient or a few",
}
"""Pages that are not measured, and why."""


def test_every_page_is_measured_or_said_not_to_be() -> None:
    every = {re.sub(r"\{[^}]*\}", "{}", each.path) for each in ALL if each.method == "GET" and not each.streams}
    measured = {re.sub(r"\{[^}]*\}", "{}", each.partition("?")[0]) for each in bench.PLACES}
    assert every - measured == set(ELSEWHERE) & every
    assert measured <= every
    assert set(ELSEWHERE) <= every


def test_it_measures_each_page() -> None:
    options = ("--campaigns", "100", "--installations", "100", "--failures", "2100", "--times", "1", "--json")
    result = CliRunner().invoke(app, ["bench", "pages", *options])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert set(found["pages"]) == set(bench.PLACES)
    assert all(0 < page["median_ms"] <= page["slowest_ms"] for page in found["pages"].values())
    assert found["first_load_bytes"] > found["pages"]["/campaigns"]["bytes"]
    assert (found["campaigns"], found["installations"], found["failures"], found["times"]) == (100, 100, 2100, 1)


def test_the_table_has_each_page() -> None:
    options = ("--campaigns", "100", "--installations", "100", "--failures", "100", "--times", "1")
    result = CliRunner().invoke(app, ["bench", "pages", *options], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert all(each in result.output for each in bench.PLACES)
    assert "the first page with its styles and scripts: " in result.output
