"""`docs/message.md` is the model's: every field with what it means, and an example that is a message."""

from __future__ import annotations

import re
from pathlib import Path

from docs.render_message import meanings, page, tables
from stentor.model import Message
from stentor.planning.content import content_from

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_the_model() -> None:
    assert (DOCS / "message.md").read_text() == page(), "run `python docs/render_message.py > docs/message.md`"


def test_every_field_says_what_it_means() -> None:
    kinds = [Message, *tables()]
    assert len(kinds) == 12
    for kind in kinds:
        for name, meaning in meanings(kind).items():
            assert meaning, f"{kind.__name__}.{name} has no docstring"


def test_the_example_of_the_page_is_a_message(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", page(), re.DOTALL)
    path = tmp_path / "sale.toml"
    path.write_text(example)
    content = content_from(path)
    assert content.variables == ("first_name",)
    german = content.render(content.language_index("de-AT"), {"first_name": "Ada"})
    assert (german.body, german.data) == ("Nur noch heute, Ada!", {"screen": "sale"})
    assert german.telegram.buttons[0][0].text == "Ansehen"
