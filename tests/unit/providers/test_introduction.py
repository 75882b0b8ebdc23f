"""A provider that tells the time shows a clock that is wrong."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from stentor.providers.introduction import check_clock


@pytest.mark.parametrize(
    ("ahead", "status"), [(0, "ok"), (59, "ok"), (-61, "warning"), (61, "warning"), (301, "problem"), (-301, "problem")]
)
def test_the_providers_date_shows_a_wrong_clock(ahead: float, status: str) -> None:
    now = 1_700_000_000.0
    (finding,) = check_clock([(b"date", formatdate(now, usegmt=True).encode())], now + ahead)
    assert finding.status.value == status
    assert status == "ok" or ("ahead of" if ahead > 0 else "behind") in finding.detail


@pytest.mark.parametrize("headers", [[], [(b"date", b"yesterday")], [(b"date", b"\xff")]])
def test_a_provider_that_doesnt_tell_the_time(headers: list[tuple[bytes, bytes]]) -> None:
    assert check_clock(headers, 0.0) == []
