"""What a line of the log looks like, in both formats; that it is one, and holds no secret."""

from __future__ import annotations

import ast
import base64
import json
import logging
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.config import LogFormat, LoggingConfig, LogLevel
from stentor.runtime.logs import MARK, SHOWN, safe, start_logging

ROOT = Path(__file__).parents[3]
OURS = logging.getLogger("stentor.some.module")
THEIRS = logging.getLogger("sqlalchemy.engine")
SECRETS = {
    "an APNs token": "f3" * 32,
    "a long APNs token": "0a1b" * 40,
    "an FCM token": "dK9xQ2:APA91b" + "Hf-7_xq" * 19,
    "a subscription's address": "gAAAAABm" + "x4_-" * 40,
    "a provider token": "eyJhbGciOiJFUzI1NiIsImtpZCI6IkFCQ0RFMTIzNDUifQ",
    "a bot's token": "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc",
    "a key": base64.b64encode(bytes(range(48))).decode(),
    "a NATS seed": "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY",
}


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("stentor")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    with warnings.catch_warnings():
        yield
        logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def begin(form: LogFormat = "text", level: LogLevel | None = None, *, marked: bool = False) -> None:
    start_logging("sender", LoggingConfig(level=level, format=form), marked=marked)


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_text_is_a_line_a_record(capsys: pytest.CaptureFixture[str]) -> None:
    begin()
    OURS.info("two\nlines of %s", "it")
    (line,) = said(capsys)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} sender\[\d+\] INFO two lines of it", line)


def test_json_is_an_object_a_record(capsys: pytest.CaptureFixture[str]) -> None:
    begin("json")
    OURS.warning("two\nlines of %s", "it", extra={"lane": "apns/ios", "counts": {"accepted": 3}, "where": object})
    (line,) = said(capsys)
    found = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found.pop("at"))
    assert found.pop("pid") > 0
    assert found == {
        "level": "warning",
        "process": "sender",
        "logger": "stentor.some.module",
        "message": "two\nlines of it",
        "lane": "apns/ios",
        "counts": {"accepted": 3},
        "where": "<class 'object'>",
    }


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_is_part_of_its_line(form: LogFormat, capsys: pytest.CaptureFixture[str]) -> None:
    begin(form)
    try:
        raise ValueError("nothing but this")
    except ValueError:
        OURS.exception("it failed")
    (line,) = said(capsys)
    assert "it failed" in line
    assert "ValueError: nothing but this" in line


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
def test_no_line_has_a_secret_or_a_whole_address(
    form: LogFormat, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(form)
    OURS.error("refused %s at https://example.com/%s?x=1", secret, secret, extra={"detail": f"of {secret}"})
    try:
        raise ValueError(secret)
    except ValueError:
        OURS.exception("again")
    lines = said(capsys)
    assert len(lines) == 2
    for line in lines:
        assert secret not in line
        assert secret[SHOWN : SHOWN + 12] not in line
    assert secret[:SHOWN] in lines[0], "by its beginning it is found again"


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
def test_no_field_has_one_however_deep_it_is(secret: str, capsys: pytest.CaptureFixture[str]) -> None:
    begin("json")
    fields = {"list": [secret, 3], "map": {secret: {"of": (secret, None)}}, "error": ValueError(secret)}
    OURS.error("it", extra=fields)
    (line,) = said(capsys)
    assert secret[SHOWN : SHOWN + 12] not in line
    found = json.loads(line)
    assert found["list"][1] == 3
    assert found["error"].startswith(secret[:SHOWN])


def without_fields(source: str) -> list[int]:
    """The lines of records whose text names a campaign, a batch, a step or a lane, and that have no fields."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func.value) == "logger"
        and re.search(r"lease|campaign|batch|\.lane|lane\.", ast.unparse(node))
        and not any(keyword.arg == "extra" for keyword in node.keywords)
    ]


def test_every_record_about_a_campaign_a_batch_or_a_lane_has_its_id_as_a_field() -> None:
    modules = [path for path in (ROOT / "src").rglob("*.py") if "testing" not in path.parts]
    assert {str(path): lines for path in modules if (lines := without_fields(path.read_text("utf-8")))} == {}
    assert without_fields('logger.error("campaign %s failed", name)\nlogger.info("the lane is shut", extra=facts)') == [
        1
    ]


@given(
    before=st.text(st.characters(codec="utf-8"), max_size=5),
    token=st.binary(min_size=32, max_size=200).map(bytes.hex).filter(lambda text: not text.isalpha()),
    after=st.text(st.characters(codec="utf-8"), max_size=5),
)
def test_an_address_is_cut_whatever_stands_around_it(before: str, token: str, after: str) -> None:
    assert token not in safe(before + token + after)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://stentor:hunter2@db:5432/stentor", "postgresql://…@db:5432/stentor"),
        ("nats://a:hunter2@n1:4222,nats://a:hunter2@n2:4222", "nats://…@n1:4222,nats://…@n2:4222"),
        ("http://proxy.example.com:3128", "http://proxy.example.com:3128"),
        ("campaign 7k2m9q4x0123abcd", "campaign 7k2m9q4x0123abcd"),
        ("batch 7k2m9q4x0123abcd/0.0/12", "batch 7k2m9q4x0123abcd/0.0/12"),
        ("of 123e4567-e89b-12d3-a456-426614174000", "of 123e4567-e89b-12d3-a456-426614174000"),
        ("test_outcomes_are_lost_that_nobody_had_recorded", "test_outcomes_are_lost_that_nobody_had_recorded"),
        ("/var/lib/stentor/keys/AuthKey_ABCDE12345.p8", "/var/lib/stentor/keys/AuthKey_ABCDE12345.p8"),
    ],
)
def test_a_password_is_cut_and_what_helps_is_left(text: str, shown: str) -> None:
    assert safe(text) == shown


@pytest.mark.parametrize(
    ("level", "ours", "theirs"),
    [
        (None, ["INFO", "WARNING", "ERROR"], ["WARNING", "ERROR"]),
        ("debug", ["DEBUG", "INFO", "WARNING", "ERROR"], ["WARNING", "ERROR"]),
        ("warning", ["WARNING", "ERROR"], ["WARNING", "ERROR"]),
        ("error", ["ERROR"], ["ERROR"]),
    ],
)
def test_the_level_is_ours_and_libraries_are_quiet(
    level: LogLevel | None, ours: list[str], theirs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    begin(level=level)
    for logger, wanted in ((OURS, ours), (THEIRS, theirs)):
        for each in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            logger.log(each, "it")
        assert [line.split()[3] for line in said(capsys)] == wanted


def test_a_workers_lines_are_marked_for_its_supervisor(capsys: pytest.CaptureFixture[str]) -> None:
    begin(marked=True)
    OURS.info("one")
    OURS.info("two")
    lines = capsys.readouterr().err.split("\n")[:-1]
    assert [line[0] for line in lines] == [MARK, MARK]


def test_it_goes_to_whatever_stderr_is_by_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A live view puts its own in its place."""
    begin()
    monkeypatch.setattr(sys, "stderr", sys.stdout)
    OURS.info("it")
    assert capsys.readouterr().out.endswith("INFO it\n")


def test_warnings_are_lines_too(capsys: pytest.CaptureFixture[str]) -> None:
    begin("json")
    warnings.simplefilter("always")
    warnings.warn("old", DeprecationWarning, stacklevel=1)
    (line,) = said(capsys)
    assert "old" in json.loads(line)["message"]
