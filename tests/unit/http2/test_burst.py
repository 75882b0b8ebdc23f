"""Bursts and results as values: what they refuse, and what they show."""

from __future__ import annotations

import pytest

from stentor.http2.burst import Burst, Fate, Results, Template
from tests.unit.http2.peer import TEMPLATE, burst


def test_reprs_show_no_secret_and_no_token() -> None:
    made = burst(3)
    text = repr(made)
    assert text == "<Burst of 3, <Template :method, :scheme, :authority, authorization, apns-topic, apns-id, :path>>"
    assert "bearer" not in text
    assert "device" not in text


def test_results_show_counts() -> None:
    results = Results(4)
    results.fates[1] = Fate.RESPONSE
    assert repr(results) == "<Results of 4: 3 pending, 1 response>"
    assert repr(Results(0)) == "<Results of 0: none>"


def test_columns_must_fit_the_template_and_each_other() -> None:
    with pytest.raises(ValueError, match="2 columns wanted, 1 given"):
        Burst(TEMPLATE, ([b"x"],), [b""])
    with pytest.raises(ValueError, match="column :path has 2 values for 1 bodies"):
        Burst(Template((), (b":path",)), ([b"/a", b"/b"],), [b""])
