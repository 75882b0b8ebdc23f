"""What a text says of a time zone: names and offsets are understood, and all else is harmless."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.zones import LONGEST, names, zone_of


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        (" europe/berlin ", "Europe/Berlin"),
        ("US/Pacific", "US/Pacific"),
        ("Asia/Calcutta", "Asia/Calcutta"),
        ("America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        ("EST5EDT", "EST5EDT"),
        ("Etc/GMT-5", "Etc/GMT-5"),
        ("GMT", "GMT"),
        ("UTC", "UTC"),
        ("Z", "UTC"),
        ("+02:00", "UTC+02:00"),
        ("+0200", "UTC+02:00"),
        ("+2", "UTC+02:00"),
        ("UTC+2", "UTC+02:00"),
        ("utc-3:30", "UTC-03:30"),
        ("GMT+0530", "UTC+05:30"),
        ("GMT-08:00", "UTC-08:00"),
        ("+14:00", "UTC+14:00"),
        ("-00:00", "UTC"),
    ],
)
def test_names_and_offsets(written: str, name: str) -> None:
    assert str(zone_of(written)) == name
    assert zone_of(name) == zone_of(written), "what is stored means the same"


@pytest.mark.parametrize(
    "junk",
    [
        *("", " ", "Asia", "America/Argentina", "Factory", "Local", "null", "CEST", "W. Europe Standard Time", "\0"),
        *("Europe/Berlin\0", "../zones", "../../etc/passwd", "/etc/localtime", "posix/Europe/Berlin", "Europe//Berlin"),
        *(
            "right/Europe/Berlin",
            "zone.tab",
            "__init__.py",
            "tzdata",
            "+14:01",
            "-15",
            "+99:00",
            "+02:60",
            "+02:0",
            "+",
        ),
        *("+2:00:00", "UTC+", "٣", "+\u0660\u0662:00", "\ud800", "x" * 10_000, "Europe/Berlin" * 1000),
        *(None, 2, 2.0, True, b"UTC", [], {}),
    ],
)
def test_junk_is_no_zone(junk: object) -> None:
    assert zone_of(junk) is None


@given(st.text() | st.sampled_from(names()).map(lambda name: name.rpartition("/")[0]))
def test_any_text_is_a_zone_or_none(written: str) -> None:
    zone_of(written)


def test_what_is_kept_of_texts_is_bounded() -> None:
    from stentor import zones  # noqa: PLC0415 - the cache is nobody's business but this test's

    for number in range(2 * zones.REMEMBERED):
        zone_of(f"junk {number}")
    assert zones._zone_of.cache_info().currsize == zones.REMEMBERED
    misses = zones._zone_of.cache_info().misses
    zone_of("x" * (LONGEST + 1))
    assert zones._zone_of.cache_info().misses == misses, "what is too long is not kept"


def test_every_zone_can_be_loaded() -> None:
    assert len(names()) > 590
    for name in names():
        zone = zone_of(name)
        assert str(zone) == name or (name in {"GMT+0", "GMT-0", "UTC"} and zone is UTC)
        assert datetime(2030, 1, 31, 18, tzinfo=zone).utcoffset() is not None


def test_the_rules_are_never_the_machines_own(tmp_path: Path) -> None:
    """Berlin's clocks show what they show in Berlin, although this machine says that it lies in Tokyo."""
    script = (
        "import sys, zoneinfo; from datetime import datetime; from stentor.zones import zone_of\n"
        "wrong = datetime(2030, 1, 31, tzinfo=zoneinfo.ZoneInfo('Europe/Berlin')).utcoffset()\n"
        "right = datetime(2030, 1, 31, tzinfo=zone_of('Europe/Berlin')).utcoffset()\n"
        "print(wrong, right)"
    )
    (tmp_path / "Europe").mkdir()
    (tmp_path / "Europe" / "Berlin").write_bytes(_file_of_tokyo())
    found = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONTZPATH": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert found.stdout.split() == ["9:00:00", "1:00:00"]


def _file_of_tokyo() -> bytes:
    """In the format of tzfile(5): 9 hours from UTC, always."""
    of_version = b"TZif2" + b"\0" * 15
    counts = b"".join(number.to_bytes(4, "big") for number in (0, 0, 0, 0, 1, 4))
    body = (9 * 3600).to_bytes(4, "big", signed=True) + b"\0\0" + b"JST\0"
    return (of_version + counts + body) * 2 + b"\nJST-9\n"


def test_utc_is_pythons_own() -> None:
    assert zone_of("UTC") is UTC
