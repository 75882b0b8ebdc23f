"""The faults file: read strictly, helpful about mistakes, and documented to the last knob."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from stentor.errors import InvalidConfiguration
from stentor.simulators.faults import Faults, Trigger, knob_values, load_faults, parse_faults

DOCS = Path(__file__).parents[3] / "docs" / "simulators.md"


def test_no_file_means_a_healthy_provider() -> None:
    quiet = Faults()
    assert parse_faults({}) == quiet
    assert quiet.devices.unregistered == quiet.reset.refused == quiet.goaway.every == 0


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    toml, plain = tmp_path / "f.toml", tmp_path / "f.json"
    toml.write_text('[goaway]\nevery = 5\nforms = ["lower"]\n[[script]]\nafter = 3\ndo = "hang"\n')
    plain.write_text(json.dumps({"goaway": {"every": 5, "forms": ["lower"]}, "script": [{"after": 3, "do": "hang"}]}))
    assert load_faults(toml) == load_faults(plain)
    assert load_faults(toml).script == (Trigger(after=3, do="hang"),)


def test_the_menu_is_valid_and_harms() -> None:
    menu = load_faults("menu")
    assert menu.devices.unregistered == 0.02
    assert menu.goaway.then == ("answer", "hang", "close")


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"latencies": {}}, "did you mean 'latency'"),
        ({"latency": {"median": 1}}, "did you mean 'median_s'"),
        ({"zzz": 1}, "known are latency"),
        ({"script": [{"after": 1, "doo": "hang"}]}, "did you mean 'do'"),
        ({"devices": {"unregistered": 1.5}}, "at most 1"),
        ({"devices": {"unregistered": 0.6, "malformed": 0.6}}, "more than 1"),
        ({"reset": {"refused": -0.1}}, "negative"),
        ({"goaway": {"forms": ["sideways"]}}, "sideways"),
        ({"goaway": {"forms": []}}, "empty"),
        ({"latency": {"median_s": 2, "p99_s": 1}}, "below"),
        ({"latency": {"tail_min_s": 40}}, "above"),
        ({"slow_reader": {"initial_window": 0}}, "outside"),
        ({"latency": 5}, "latency"),
        ({"storm": {"for_s": "long"}}, "for_s"),
    ],
)
def test_mistakes_are_named(tree: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidConfiguration, match=re.escape(words)):
        parse_faults(tree)


@pytest.mark.parametrize(("name", "content"), [("f.json", "{"), ("f.toml", "= 1"), ("f.json", "[1]")])
def test_unreadable_files_are_named(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InvalidConfiguration, match=name):
        load_faults(path)


@pytest.mark.parametrize(
    ("name", "text"), [("f.toml", "[goaway]\nevery = 7\n"), ("f.json", '{"goaway": {"every": 7}}')]
)
def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode("utf-8-sig"))
    assert load_faults(tmp_path / name).goaway.every == 7


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match=r"nowhere\.toml"):
        load_faults(tmp_path / "nowhere.toml")


def test_skew_may_be_negative() -> None:
    assert parse_faults({"credential": {"clock_skew_s": -600}}).credential.clock_skew_s == -600


def _default_in_docs(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) if value else "none"
    return f"{value:g}" if isinstance(value, (int, float)) and abs(value) < 1e5 else str(value)


def test_every_knob_is_documented_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `([a-z_.0-9]+)` \| ([^|]*) \|", DOCS.read_text(), re.MULTILINE))
    wanted = {f"{section}.{knob}": _default_in_docs(value) for section, knob, value in knob_values(Faults())}
    assert {name: rows.get(name, "missing").strip() for name in wanted} == wanted


def test_the_script_is_documented() -> None:
    text = DOCS.read_text()
    for name in Trigger.__dataclass_fields__:
        assert f"`{name}`" in text
