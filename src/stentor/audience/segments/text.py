"""Reads a segment as people write it: `country in [DE, AT] and app_version >= v5.2 and last_seen > now - 7d`.

    either     = both { "or" both }
    both       = one { "and" one }
    one        = "not" one | "(" either ")" | condition
    condition  = name ( sign value | [ "not" ] ( "in" "[" value { "," value } "]" | "starts" "with" text
                 | "contains" text | "exists" ) )

Rules: whatever the text, the answer is a tree that `tree.check` has seen, or InvalidSegment with the place.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection
from typing import cast

from stentor.audience.segments import tokens
from stentor.audience.segments.tokens import Token
from stentor.audience.segments.tree import (
    DEEPEST,
    Among,
    Begins,
    Compare,
    Contains,
    Exists,
    Not,
    Sign,
    Tree,
    Value,
    check,
    check_name,
    check_value,
    every,
    some,
)
from stentor.errors import InvalidSegment

SHOWN = 20
"""Names that are told at most."""
AFTER_NAME = "a comparison: = != < <= > >=, `in`, `not in`, `starts with`, `contains` or `exists`"
_INSTEAD = {
    "is": "write `exists` or `not exists`, or `=`",
    "like": "write `starts with` or `contains`",
    "ilike": "write `starts with` or `contains`; upper and lower case differ",
    "between": "write `a >= 1 and a <= 5`",
    "begins": "write `starts with`",
    "startswith": "write `starts with`",
    "has": "write `contains`",
    "includes": "write `contains`",
    "matches": "write `starts with` or `contains`",
    "before": "write `<`",
    "after": "write `>`",
}
"""What people know from elsewhere, and what to write here."""


def read(text: str, known: Collection[str] | None = None) -> Tree:
    """The tree that a text means.

    Args:
        known: the names that there are, if all of them are known.

    Raises:
        InvalidSegment: it isn't written right, or asks for too much.
    """
    return check(_Reader(text, known).whole())


class _Reader:
    def __init__(self, text: str, known: Collection[str] | None) -> None:
        self._text = text
        self._known = known
        self._tokens = tokens.tokens(text)
        self._next = 0
        self._depth = 0

    def whole(self) -> Tree:
        if self._is_at_end():
            raise InvalidSegment("is empty; leave it out to select everybody")
        tree = self._either()
        if not self._is_at_end():
            raise self._expected("`and`, `or` or the end")
        return tree

    # -- the grammar --------------------------------------------------------------------------------------------------

    def _either(self) -> Tree:
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        return some(parts)

    def _both(self) -> Tree:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return every(parts)

    def _one(self) -> Tree:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._wrong(f"conditions are more than {DEEPEST} deep in one another; use fewer brackets")
        if self._take("not"):
            found: Tree = Not(self._one())
        elif self._take_mark("("):
            found = self._either()
            if not self._take_mark(")"):
                raise self._expected("`and`, `or` or `)`")
        else:
            found = self._condition()
        self._depth -= 1
        return found

    def _condition(self) -> Tree:
        name = self._name()
        if self._token.kind == "sign":
            sign = cast("Sign", self._advance().text)
            at = self._token
            value = self._value(name)
            if isinstance(value, bool) and sign not in ("=", "!="):
                raise self._wrong("true and false have no order; compare them with = or !=", at)
            return Compare(name, sign, value)
        negated = self._take("not")
        if self._take("exists"):
            return Not(Exists(name)) if negated else Exists(name)
        if self._take("in"):
            return Among(name, self._list(name), wanted=not negated)
        if self._take("starts"):
            if not self._take("with"):
                raise self._expected("`with`")
            found: Tree = Begins(name, self._plain(name))
        elif self._take("contains"):
            found = Contains(name, self._plain(name))
        else:
            raise self._expected("`in`, `starts with`, `contains` or `exists`" if negated else AFTER_NAME)
        return every([Exists(name), Not(found)]) if negated else found

    def _name(self) -> str:
        token = self._token
        if (token.kind == "word" and tokens.is_bare_name(token.text)) or token.kind == "quoted":
            name = token.text
        elif token.kind == "word" and not token.keyword:
            raise self._wrong(f"{token} is not a name; put quotes around a name with such characters")
        else:
            raise self._expected("the name of a column or attribute")
        self._at(token, lambda: check_name(name))
        if self._known is not None and name not in self._known:
            raise self._wrong(f"there is no column or attribute {name[:50]!r}{_nearest(name, self._known)}")
        self._next += 1
        return name

    def _list(self, name: str) -> tuple[Value, ...]:
        closing = {"[": "]", "(": ")"}.get(self._token.text if self._token.kind == "mark" else "")
        if closing is None:
            raise self._expected("a list in brackets, such as [DE, AT]")
        self._next += 1
        values = [self._value(name)]
        while self._take_mark(","):
            values.append(self._value(name))
        if not self._take_mark(closing):
            raise self._expected(f"`,` or `{closing}`")
        return tuple(values)

    def _plain(self, name: str) -> str:
        """A text."""
        token = self._token
        value = self._value(name)
        if not isinstance(value, str):
            raise self._wrong(f"expected a text; put quotes around {token}", token)
        if not value:
            raise self._wrong("the text is empty; write `exists` for any value", token)
        return value

    def _value(self, name: str) -> Value:
        token = self._token
        value: Value
        if token.kind == "quoted":
            value = token.text
        elif token.kind == "word" and not token.keyword:
            try:
                value = tokens.value_of(token.text if token.text != "now" else self._now())
            except ValueError as why:
                raise self._wrong(f"{token} is not a value: {why}", token) from None
        elif token.keyword:
            raise self._wrong(f"expected a value; put quotes around {token} if it is one")
        else:
            raise self._expected("a value")
        self._next += 1
        self._at(token, lambda: check_value(name, value))
        return value

    def _now(self) -> str:
        """`now - 7d` as one word; the place is then at its last token."""
        sign, length = self._ahead()
        if sign.kind != "word" or sign.text[0] not in "+-":
            return "now"
        if sign.text not in ("+", "-"):
            self._next += 1
            return f"now{sign.text}"
        if length.kind != "word":
            raise InvalidSegment(
                f"expected a duration such as 7d or 12h, found {length}", text=self._text, at=length.at
            )
        self._next += 2
        return f"now{sign.text}{length.text}"

    def _ahead(self) -> tuple[Token, Token]:
        """The two tokens after this one."""
        end = len(self._tokens) - 1
        return self._tokens[min(self._next + 1, end)], self._tokens[min(self._next + 2, end)]

    # -- tokens -------------------------------------------------------------------------------------------------------

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _is_at_end(self) -> bool:
        return self._token.kind == "end"

    def _advance(self) -> Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _take(self, keyword: str) -> bool:
        if self._token.keyword != keyword:
            return False
        self._next += 1
        return True

    def _take_mark(self, mark: str) -> bool:
        if self._token.kind != "mark" or self._token.text != mark:
            return False
        self._next += 1
        return True

    # -- errors -------------------------------------------------------------------------------------------------------

    def _wrong(self, problem: str, token: Token | None = None) -> InvalidSegment:
        return InvalidSegment(problem, text=self._text, at=(token or self._token).at)

    def _expected(self, what: str) -> InvalidSegment:
        token = self._token
        instead = _INSTEAD.get(token.text.lower()) if token.kind == "word" else None
        advice = f"; {instead}" if instead and what == AFTER_NAME else ""
        return self._wrong(f"expected {what}, found {token}{advice}")

    def _at(self, token: Token, checking: Callable[[], None]) -> None:
        """Have an error of a check point at a token."""
        try:
            checking()
        except InvalidSegment as error:
            raise self._wrong(error.problem, token) from None


def _nearest(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.55)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(known)[:SHOWN])}" if known else ""
