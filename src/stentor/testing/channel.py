"""The suite that every channel should pass: derive a class from `ChannelContract` and give it its two fixtures.

    class TestMine(ChannelContract):
        @pytest.fixture
        def channel(self) -> Channel:
            return CHANNEL

        @pytest.fixture
        def settings(self, tmp_path: Path) -> dict[str, Any]:
            return {"token_file": tmp_path / "token.txt"}  # the least that an app of it needs

It looks at what a channel says of itself, not at what it sends: for that there is its provider's simulator, or a server
of a few lines as in `examples/stentor-ntfy/tests`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

import pytest

from stentor.channels import BadAddress, Channel
from stentor.outcome import Scope, Verdict
from stentor.providers.contract import Answer, Rule, Taken
from stentor.providers.http_lane import HttpLane
from stentor.providers.http_message import Response

Settings = Mapping[str, Any]
LIBRARIES = ("aiohttp", "cryptography", "google.auth", "requests")
"""What no process should load only to read its settings."""
BODIES = (b"", b"null", b"[]", b"{}", b'"x"', b"<html>", b"\xff\x00", b'{"id": [], "error": 7, "code": {}}', b"{" * 9)


class ChannelContract:
    """What the rest of the house relies on."""

    @pytest.fixture
    def channel(self) -> Channel:
        raise NotImplementedError

    @pytest.fixture
    def settings(self) -> Settings:
        """The least that an app of it needs, but for `channel`."""
        raise NotImplementedError

    @pytest.fixture
    def address(self) -> bytes:
        """One that it would send to."""
        return b"address"

    # -- settings -----------------------------------------------------------------------------------------------------

    def test_its_settings_name_it(self, channel: Channel, settings: Settings) -> None:
        hint = channel.app.model_fields["channel"].annotation
        assert get_origin(hint) is Literal
        assert get_args(hint) == (channel.name,)
        assert channel.app(**settings).channel == channel.name

    def test_each_setting_is_explained(self, channel: Channel) -> None:
        for name, field in channel.app.model_fields.items():
            assert field.description, f"{name} has no docstring, which `stentor init` and the documentation show"
            assert not (field.is_required() and not field.examples), f"{name} is required, and has no example"

    def test_secrets_stay_out_of_sight(self, channel: Channel) -> None:
        for name in channel.app.model_fields:
            secret = name.endswith(("token", "secret", "password", "key"))
            assert not secret, f"{name} would stand in the settings; name a file that holds it: {name}_file"

    def test_settings_load_no_library(self, channel: Channel) -> None:
        module = channel.app.__module__
        code = f"import sys, {module}; print(*[each for each in {LIBRARIES!r} if each in sys.modules])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.split() == [], f"{module} loads these; import them where the lane is opened"

    # -- addresses ----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("address", ["", "\0", "a\nb", "x" * 100_000])
    def test_no_address_is_anything_at_all(self, channel: Channel, address: str) -> None:
        bad = channel.check_address(address)
        assert isinstance(bad, BadAddress)
        assert bad.rule
        assert bad.detail

    # -- reasons ------------------------------------------------------------------------------------------------------

    def test_its_reasons_are_a_table(self, channel: Channel) -> None:
        rules = list(channel.rules())
        assert rules
        assert all(isinstance(rule, Rule) for rule in rules)
        assert len({(rule.status, rule.reason) for rule in rules}) == len(rules), "no row twice"

    def test_each_rule_makes_sense(self, channel: Channel) -> None:
        for rule in channel.rules():
            assert rule.meaning.endswith((".", "?", "!")), f"{rule.reason}: a sentence for people"
            if rule.verdict is Verdict.DROP:
                assert rule.scope is Scope.ADDRESS, f"{rule.reason}: only an address can be dead"
            if rule.verdict is Verdict.STOP:
                assert rule.scope is not Scope.ADDRESS, f"{rule.reason}: nobody's lane stops for one address"
            if rule.verdict is Verdict.RETRY:
                assert rule.wait is not None, f"{rule.reason}: say how long, where the provider doesn't"

    # -- the lane -----------------------------------------------------------------------------------------------------

    def test_opening_its_lane_reads_nothing(self, channel: Channel, settings: Settings) -> None:
        lane = channel.open("mine", channel.app(**settings), lambda: 0.0)
        assert lane.name == f"{channel.name}/mine"
        for rule in channel.rules():
            assert lane.meaning(rule.reason), rule.reason

    def test_no_answer_breaks_it(self, channel: Channel, settings: Settings, address: bytes) -> None:
        """Those of a proxy, a wrong server, a server of tomorrow. None of them may drop an address by chance."""
        lane = channel.open("mine", channel.app(**settings), lambda: 0.0)
        if not isinstance(lane, HttpLane):
            return  # of other lanes only their own tests know how they decode
        dropping = {rule.status for rule in channel.rules() if rule.verdict is Verdict.DROP}
        for status in (100, 200, 204, 226, 300, 302, 400, 401, 404, 409, 410, 418, 429, 451, 500, 502, 503, 599, 999):
            for body in BODIES:
                found = lane.decode(Response(status, {"retry-after": "soon"}, body), address, 0.0)
                assert isinstance(found, Taken | Answer), (status, body)
                if isinstance(found, Taken):
                    assert 200 <= status < 300, status
                else:
                    assert found.reason, (status, body)
                    assert found.verdict is not Verdict.DROP or status in dropping, status
