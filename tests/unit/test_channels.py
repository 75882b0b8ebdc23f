"""The suite that all channels pass, for each of Stentor's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stentor.channels import BUILT_IN, Channel, find
from stentor.errors import InvalidConfiguration
from stentor.testing.channel import ChannelContract

MORE: dict[str, dict[str, Any]] = {"apns": {"key_file": "a.p8", "key_id": "ABCDE12345", "team_id": "FGHIJ67890"}}
"""What an app needs beside what each app must have."""
ADDRESSES = {"telegram": b"4711", "discord": b"112233445566778899"}


@pytest.fixture(params=list(BUILT_IN))
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


class TestOurs(ChannelContract):
    @pytest.fixture
    def channel(self, name: str) -> Channel:
        return find(name)

    @pytest.fixture
    def settings(self, name: str) -> dict[str, Any]:
        """The examples of its settings are good ones."""
        fields = find(name).app.model_fields.items()
        required = {name: (field.examples or [""])[0] for name, field in fields if field.is_required()}
        return {**required, **MORE.get(name, {})}

    @pytest.fixture
    def address(self, name: str) -> bytes:
        return ADDRESSES.get(name, b"address")


def test_each_app_has_a_name_of_its_own_in_the_file_that_init_writes() -> None:
    names = [find(name).example_app for name in BUILT_IN]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("where", ["stentor.no.such:Lane", "stentor.batch:NoSuch", "no name"])
def test_a_lane_that_is_nowhere(where: str) -> None:
    wrong = replace(find("telegram"), lane=where, table=where)
    for load in (lambda: wrong.open("bot", None, lambda: 0.0), wrong.rules):  # type: ignore[arg-type]
        with pytest.raises(InvalidConfiguration, match=f"'telegram' cannot be loaded from '{where}'"):
            load()
