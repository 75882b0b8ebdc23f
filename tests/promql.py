"""What PromQL expressions name: a parser of the part of the language that the board and the alerts use.

It knows types as Prometheus does (a function that wants a range gets one), so that Prometheus accepts what it accepts.
Whatever else there is in the language is refused here: whoever uses it teaches it to this parser first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

AGGREGATIONS = frozenset({"sum", "min", "max", "count", "avg"})
OVER_A_RANGE = frozenset({"rate", "increase", "delta", "avg_over_time", "max_over_time"})
OVER_A_VECTOR = frozenset({"histogram_quantile", "vector"})
OF_THE_MOST = frozenset({"topk", "bottomk"})
SETS = frozenset({"and", "or", "unless"})
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>\d+(?:\.\d+)?(?![\w.]))
      | (?P<duration>\[(?:\d+[smhd]|\$__rate_interval)\])
      | (?P<text>"(?:[^"\\]|\\.)*")
      | (?P<name>[a-zA-Z_:][\w:]*)
      | (?P<sign>==|!=|>=|<=|=~|!~|[-+*/%^=<>(){},])
    )""",
    re.VERBOSE,
)


class ExpressionError(Exception):
    """It is none, or uses what isn't known here."""


@dataclass(slots=True)
class Query:
    """What an expression names."""

    selectors: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    """Metrics, each with the labels that its matchers name."""
    labels: set[str] = field(default_factory=set)
    """Those that are grouped or joined by."""


def read(expression: str) -> Query:
    """Raises: ExpressionError."""
    parser = _Parser(expression)
    if parser.expression() == "range":
        raise ExpressionError(f"a range at the top: {expression}")
    parser.end()
    return parser.found


class _Parser:
    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._tokens = [*_tokens(expression), ("end", "")]
        self._at = 0
        self.found = Query()

    def expression(self) -> str:
        """Any number of operands with operators between. Returns: `scalar`, `vector` or `range`."""
        kind = self._operand()
        while (sign := self._next[1]) in {*"+-*/%^<>", "==", "!=", ">=", "<="} or sign in SETS:
            self._advance()
            if self._next[1] in ("on", "ignoring"):
                self._advance()
                self._labels()
                if self._next[1] in ("group_left", "group_right"):
                    self._advance()
                    self._labels()
            kinds = {kind, self._operand()}
            if "range" in kinds or (sign in SETS and "scalar" in kinds):
                raise self._wrong("operands that cannot be joined")
            kind = "scalar" if kinds == {"scalar"} else "vector"
        return kind

    def end(self) -> None:
        if self._next[0] != "end":
            raise self._wrong("something after the end")

    @property
    def _next(self) -> tuple[str, str]:
        return self._tokens[self._at]

    def _advance(self) -> str:
        text = self._next[1]
        self._at += self._next[0] != "end"
        return text

    def _expect(self, sign: str) -> None:
        if self._next[1] != sign:
            raise self._wrong(f"no {sign}")
        self._advance()

    def _wrong(self, what: str) -> ExpressionError:
        return ExpressionError(f"{what}, before {self._next[1]!r}: {self._expression}")

    def _operand(self) -> str:
        kind, text = self._next
        self._advance()
        if kind == "number":
            return "scalar"
        if text == "(":
            inner = self.expression()
            self._expect(")")
            return inner
        if kind != "name" or text in SETS:
            raise self._wrong("no operand")
        if text in AGGREGATIONS | OF_THE_MOST:
            return self._aggregation(text)
        if self._next[1] == "(":
            return self._call(text)
        return self._selector(text)

    def _aggregation(self, name: str) -> str:
        if self._next[1] in ("by", "without"):
            self._advance()
            self._labels()
        self._expect("(")
        if name in OF_THE_MOST:
            if self.expression() != "scalar":
                raise self._wrong(f"{name} of no number")
            self._expect(",")
        if self.expression() != "vector":
            raise self._wrong("an aggregation of no vector")
        self._expect(")")
        return "vector"

    def _call(self, function: str) -> str:
        self._expect("(")
        kinds = [self.expression()]
        while self._next[1] == ",":
            self._advance()
            kinds.append(self.expression())
        self._expect(")")
        wanted = {"vector": ["scalar"], "histogram_quantile": ["scalar", "vector"]}.get(function, ["range"])
        if function not in OVER_A_RANGE | OVER_A_VECTOR or kinds != wanted:
            raise self._wrong(f"{function} of {kinds}")
        return "vector"

    def _selector(self, name: str) -> str:
        labels: set[str] = set()
        if self._next[1] == "{":
            self._advance()
            while self._next[1] != "}":
                labels.add(self._name())
                if self._advance() not in ("=", "!=", "=~", "!~") or self._next[0] != "text":
                    raise self._wrong("no matcher")
                self._advance()
                if self._next[1] == ",":
                    self._advance()
            self._advance()
        self.found.selectors.append((name, frozenset(labels)))
        if self._next[0] == "duration":
            self._advance()
            return "range"
        return "vector"

    def _labels(self) -> None:
        self._expect("(")
        while self._next[1] != ")":
            self.found.labels.add(self._name())
            if self._next[1] == ",":
                self._advance()
        self._advance()

    def _name(self) -> str:
        if self._next[0] != "name":
            raise self._wrong("no label")
        return self._advance()


def _tokens(expression: str) -> Iterator[tuple[str, str]]:
    at, text = 0, expression.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ExpressionError(f"nothing that is known at {text[at:]!r}")
        kind = found.lastgroup
        assert kind is not None
        yield kind, found[kind]
        at = found.end()
