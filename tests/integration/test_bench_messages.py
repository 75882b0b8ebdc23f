"""How soon messages are at the provider during a campaign: every figure is there, and every message was seen."""

from __future__ import annotations

import pytest

from stentor.bench import messages


@pytest.mark.timeout(240)
def test_every_message_is_seen_and_timed() -> None:
    said: list[str] = []
    found = messages.run(5_000, said.append)
    assert len(said) == 2
    assert found["messages"] == found["seen"] == found["accepted"] > 0
    assert found["rate"] > 0
    for figure in ("first_byte_ms", "send_ms"):
        assert 0 < found[figure]["p50"] <= found[figure]["p99"] <= found[figure]["max"]
