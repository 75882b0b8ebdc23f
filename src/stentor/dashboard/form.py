"""What was filled into a form, read within limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request

from stentor.api.bodies import media_type, read
from stentor.api.problems import BAD_BODY, UNSUPPORTED_MEDIA_TYPE, ProblemAnswer

URLENCODED = "application/x-www-form-urlencoded"
MOST_FIELDS = 1000


@dataclass(frozen=True, slots=True)
class Form:
    """Names and values, in the order of the page. A name may come several times."""

    fields: Sequence[tuple[str, str]] = ()

    def get(self, name: str) -> str:
        """The value without space around it; empty if it isn't there."""
        return self.raw(name).strip()

    def raw(self, name: str) -> str:
        """The value as it was typed, with line ends as `\\n`; empty if it isn't there."""
        found = next((value for each, value in self.fields if each == name), "")
        return found.replace("\r\n", "\n")

    def all(self, name: str) -> list[str]:
        """Every value of a name that isn't empty."""
        return [value.strip() for each, value in self.fields if each == name and value.strip()]


NOTHING = Form()


async def read_form(request: Request) -> Form:
    """Raises: ProblemAnswer: it is too large, too slow, or no form."""
    if media_type(request) != URLENCODED:
        raise ProblemAnswer(UNSUPPORTED_MEDIA_TYPE, "This is not a form of one of our pages.")
    body = await read(request)
    try:
        fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        raise ProblemAnswer(BAD_BODY, "What was filled in cannot be read.") from None
    return Form(fields)
