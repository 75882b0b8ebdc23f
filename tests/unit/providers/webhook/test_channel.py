"""Webhooks as a channel: where messages can be posted, by its settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from stentor.providers.webhook.channel import WebhookApp


@pytest.mark.parametrize("target", ["https://a.example", "https://a.example:8443/x/y?z=1", "https://[::1]/", "address"])
def test_where_messages_can_be_posted(target: str) -> None:
    app = WebhookApp(target=target, secret_file=Path("secret.txt"))
    assert app.target == target
    assert "a.example" not in repr(app), "there may be a secret in it"


WRONG = """\
|gateway|http://a.example/|https://|https://u:hunter2@a.example/|https://a.example:0/|https://a.example:x/|\
https://a.example/#x|https://a.example/a b|https://a.example/\n"""


@pytest.mark.parametrize("target", WRONG.split("|"))
def test_where_they_cannot(target: str) -> None:
    with pytest.raises(ValidationError, match="must be https://host/path") as error:
        WebhookApp(target=target, secret_file=Path("secret.txt"))
    assert "hunter2" not in str(error.value)
