"""What takes a message's place: under the same key, or not at all."""

from __future__ import annotations

import pytest

from stentor.errors import InvalidMessage
from stentor.model import Action, ApnsOptions, Message
from stentor.planning.content import Content, decode_content, encode_content
from stentor.planning.retraction import RETRACT, correction, retraction


def content(**fields: object) -> Content:
    return Content(message=Message(title="Sale", **fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sent", "tag"),
    [
        (content(), "c1"),
        (content(collapse_key="sale"), "sale"),
        (content(collapse_key="sale", apns=ApnsOptions(collapse_id="own")), "own"),
        (content(collapse_key="order-{{ id }}"), "order-{{ id }}"),
    ],
)
def test_a_retraction_names_what_to_remove_and_shows_nothing(sent: Content, tag: str) -> None:
    found = retraction(sent, "c1")
    assert found.action is Action.UNDO
    message = found.message
    assert message.silent
    assert (message.title, message.body, message.data) == (None, None, {RETRACT: tag})
    assert message.collapse_key == sent.message.collapse_key
    assert message.apns.collapse_id == sent.message.apns.collapse_id


def test_a_correction_has_the_key_of_what_it_corrects() -> None:
    sent = content(collapse_key="sale", apns=ApnsOptions(collapse_id="own"))
    found = correction(sent, content(body="Sunday"), Action.EDIT)
    assert found.action is Action.EDIT
    assert found.message.body == "Sunday"
    assert (found.message.collapse_key, found.message.apns.collapse_id) == ("sale", "own")
    assert correction(sent, content(collapse_key="sale"), Action.UNDO).message.collapse_key == "sale"


@pytest.mark.parametrize(
    ("better", "field"),
    [
        (content(collapse_key="other"), "collapse_key"),
        (content(apns=ApnsOptions(collapse_id="other")), "apns.collapse_id"),
    ],
)
def test_one_of_another_key_would_be_shown_beside_it(better: Content, field: str) -> None:
    with pytest.raises(InvalidMessage) as refused:
        correction(content(), better, Action.UNDO)
    assert refused.value.field == field


@pytest.mark.parametrize("action", Action)
def test_what_is_done_is_stored_with_it(action: Action) -> None:
    stored = Content(message=Message(title="a"), action=action)
    assert decode_content(encode_content(stored)) == stored
