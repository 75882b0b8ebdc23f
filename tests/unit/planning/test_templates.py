"""Templates that take too much, are too deep or broken: refused in one line, at little cost."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tracemalloc
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.errors import InvalidMessage
from stentor.model import Message
from stentor.planning.allowance import DEEPEST_CALL, LARGEST_TEXT, LONGEST_RANGE, ROUNDS, WORK
from stentor.planning.content import Content
from stentor.planning.templates import DEEPEST, MOST_BRACKETS

MEMORY = 24 * 1024 * 1024
"""Bytes at most while a text is filled, whatever is in it."""
STEPS = 1_000_000
"""Of functions, Python's and C's, at most while it is filled."""
A_NAMESPACE = "{% set n = namespace(v=v) %}{% for i in range(1000) %}"
"""To make something of what was made before, again and again."""
NESTED = "{% set n = namespace(v=v) %}{% for i in range(30) %}{% set n.v = namespace(a=n.v, b=n.v) %}{% endfor %}"
"""Namespaces in namespaces, whose text would be a billion times as long as this."""

TOO_LARGE = [
    *("{{ 'x' * 10 ** 12 }}", "{{ 200000000 * 'x' }}", "{{ [v] * 10 ** 9 }}", "{{ (v,) * 10 ** 9 }}"),
    *("{{ v | center(10 ** 9) }}", "{{ 'x' | indent(10 ** 9, true) }}", "{{ ('x\n' * 9999) | indent('y' * 9999) }}"),
    *("{{ 'x'.center(10 ** 9) }}", "{{ 'x'.ljust(10 ** 9) }}", "{{ 'x'.rjust(10 ** 9) }}", "{{ 'x'.zfill(10 ** 9) }}"),
    *(
        "{{ ('\t' * 999).expandtabs(9999) }}",
        "{{ ('x' | safe).ljust(10 ** 9) }}",
        "{{ ('<' * 60000) | e | urlencode }}",
    ),
    *("{{ ('x' * 60000).replace('x', 'y' * 60000) }}", "{{ ('x' * 60000) | replace('', 'y' * 60000) }}"),
    *(
        "{{ range(1000) | join('y' * 60000) }}",
        "{{ ('y' * 60000).join(['x'] * 1000) }}",
        "{{ (['y' * 999] * 99) | join }}",
    ),
    *("{{ [v] | batch(10 ** 9, 'x') | length }}", "{{ [v] | slice(10 ** 9) | length }}", "{{ ('x' * 60000) | list }}"),
    *("{{ ('%(a)s' * 9999) % {'a': 'x' * 9999} }}", "{{ ('%(a)s' * 9999) | format(a='x' * 9999) }}"),
    *(
        "{{ ('%1000d' * 9999) | format(v) }}",
        "{{ ('{0}' * 9999).format('x' * 60000) }}",
        "{{ 'x' * 40000 ~ 'x' * 40000 }}",
    ),
    A_NAMESPACE + "{% set n.v = n.v ~ n.v %}{% endfor %}",
    A_NAMESPACE + "{% set n.v = [n.v, n.v] %}{% endfor %}",
    A_NAMESPACE + "{% set n.v = {1: n.v, 2: n.v} %}{% endfor %}",
    A_NAMESPACE + "{% set n.v = (n.v, n.v) %}{% endfor %}",
    A_NAMESPACE + "{% set n.v = [n.v] + [n.v] %}{% endfor %}",
    "{% set x %}" + "{% for i in range(1000) %}" + "y" * 500 + "{% endfor %}{% endset %}{{ v }}",
    "{{ v }}" + "{% for i in range(1000) %}" + "ä" * 100 + "{% endfor %}",
    "{% filter upper %}{% for i in range(1000) %}" + "y" * 100 + "{% endfor %}{% endfilter %}{{ v }}",
    "{% macro m() %}" + "y" * 100 + "{{ v }}{% endmacro %}{% for i in range(1000) %}{{ m() }}{% endfor %}",
]
TOO_LARGE_NUMBERS = [
    *("{{ 9 ** (9 ** 9) }}", "{{ (10 ** 1000) ** 1000 }}", "{{ (10 ** 1000) * (10 ** 1000) }}"),
    *("{{ ('f' * 60000) | int(base=16) }}", "{{ v | round(10 ** 9) }}", "{{ 1 | round(-(10 ** 9)) }}"),
    "{{ v | round(10 ** 6, 'ceil') }}",
    "{% set n = namespace(v=3) %}{% for i in range(1000) %}{% set n.v = n.v * n.v %}{% endfor %}{{ v }}",
    "{{ v }}{{ " + "9" * 5000 + " }}",
    "{{ v }}{{ 0x" + "f" * 5000 + " }}",
]
TOO_WIDE = [
    *(
        "{{ '%1000000000d' % v }}",
        "{{ '%.1000000000f' % v }}",
        "{{ '%*d' % (10 ** 9, v) }}",
        "{{ '%.*f' % (10 ** 9, v) }}",
    ),
    *(
        "{{ '%(a)999999999d' % {'a': v} }}",
        "{{ '%(a(b))999999999d' % {'a(b)': v} }}",
        "{{ '%(a%)999999999d' % {'a%': v} }}",
    ),
    *("{{ '%1000000000d' | format(v) }}", "{{ '%+ #0-999999999d' | format(v) }}", "{{ '%%%999999999d' | format(v) }}"),
    *("{{ '%0009999999999d' | format(v) }}", "{{ ('%1000000000d' | safe) % v }}", "{{ '{:1000000000}'.format(v) }}"),
    *("{{ '{:{w}}'.format(v, w=10 ** 9) }}", "{{ '{:.1000000000f}'.format(v) }}", "{{ '{0!r:999999999}'.format(v) }}"),
    *("{{ '{a:1000000000}'.format_map({'a': v}) }}", "{{ ('{:>1000000000}' | safe).format(v) }}"),
    *("{{ [[v]] | tojson(10 ** 9) }}", "{{ [[v]] | tojson(indent='x' * 60000) }}"),
]
TOO_MANY = [
    "{% for i in range(1001) %}{{ v }}{% endfor %}",
    "{% for i in range(10 ** 30) %}{{ v }}{% endfor %}",
    "{% for i in range(-(10 ** 30), 0) %}{{ v }}{% endfor %}",
    "{{ cycler(*range(10 ** 9)) }}{{ v }}",
    "{% for i in range(99) %}{% for j in range(99) %}{% for k in range(99 * v) %}{% endfor %}{% endfor %}{% endfor %}",
    "{% for i in range(1000) %}{% for j in range(1000) if v == 2 %}{% endfor %}{% endfor %}",
    "{% for i in range(1000) if range(1000) | list %}{{ v }}{% endfor %}",
    "{% for i in 'x' * 60000 %}{% endfor %}{{ v }}",
    "{% for i in range(1000) %}{{ range(1000) | sum }}{% endfor %}{{ v }}",
    "{% for i in range(1000) %}{{ range(1000) | map('string') | join }}{% endfor %}{{ v }}",
    "{% for i in range(999) %}{{ range(999) | batch(3) | first }}{{ range(9) | slice(v) | first }}{% endfor %}",
    "{% for i in range(1000) %}{{ range(1000) | groupby('real') | first }}{% endfor %}{{ v }}",
    "{% for i in range(1000) %}{{ range(1000) | select('odd') | reject('even') | unique | first }}{% endfor %}{{ v }}",
    "{% for i in range(1000) %}{% for j in range(100) %}{% set x = cycler(1).next() %}{% endfor %}{% endfor %}{{ v }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(18) }}{{ v }}",
    "{{ ('x' * 60000) | map('upper') | join }}{{ v }}",
]
TOO_MUCH_WORK = [
    "{% set s = 'x' * 60000 %}{% for i in range(1000) %}{% if s == s ~ v %}{% endif %}{% endfor %}",
    "{% set s = 'x' * 60000 %}{% for i in range(1000) %}{% if v ~ '' in s %}{% endif %}{% endfor %}",
    "{% set s = 'x' * 60000 %}{% for i in range(1000) %}{% if s is upper %}{% endif %}{% endfor %}{{ v }}",
    "{% set s = 'x' * 60000 %}{% for i in range(1000) %}{% set t = s[1:] %}{% endfor %}{{ v }}",
    "{% set s = (0,) * 5000 %}{% for i in range(1000) %}{{ {}[s] | default('') }}{% endfor %}{{ v }}",
    "{% set s = 'x' * 60000 %}{% for i in range(1000) %}{% set t = s.find('y') %}{% endfor %}{{ v }}",
    "{{ (['a'] * 900) | map(attribute='a.' * 9999, default='a') | list }}{{ v }}",
    "{{ (['a'] * 900) | groupby('a.' * 9999, default='a') | list }}{{ v }}",
    "{% for i in range(1000) %}{% for j in range(9) %}"
    + "{% set x = v | abs | abs %}" * 30
    + "{% endfor %}{% endfor %}",
    "{% for i in range(1000) %}{% for j in range(9) %}" + "{% set x = v + 1 %}" * 30 + "{% endfor %}{% endfor %}",
    "{% for i in range(1000) %}{% for j in range(9) %}" + "{% if v %}{% endif %}" * 30 + "{% endfor %}{% endfor %}",
    "{% macro m() %}" + "{{ v }}" * 900 + "{% endmacro %}{% for i in range(1000) %}{% set x = m() %}{% endfor %}",
    "{% block b %}"
    + "{% if v %}{% endif %}" * 900
    + "{% endblock %}{% for i in range(1000) %}{{ self.b() }}{% endfor %}",
]
TOO_DEEP = [
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}{{ v }}",
    "{% macro m() %}{{ caller() }}{% endmacro %}{% macro k() %}{% call m() %}{{k()}}{% endcall %}{% endmacro %}{{k()}}",
    "{% for i in [v] recursive %}{{ loop([1]) }}{% endfor %}",
    "{% block b %}{{ self.b() }}{{ v }}{% endblock %}",
    A_NAMESPACE + "{% set n.v = [n.v] %}{% endfor %}",
    *(
        "{{ v + " + "(" * 300 + "1" + ")" * 300 + " }}",
        "{{ " + "[" * 300 + " }}",
        "{{ v }}{{ " + "-" * 3000 + "1 }}",
    ),
    *(
        "{{ v" + "+1" * 999 + " }}",
        "{{ v" + "**1" * 999 + " }}",
        "{{ v" + "|abs" * 999 + " }}",
        "{{ v" + ".a" * 999 + " }}",
    ),
    *("{{ " + "not " * 999 + "v }}", "{{ " + "1 if v else " * 400 + "1 }}", "{{ v" + " or 1" * 999 + " }}"),
    *("{% if v %}" * 300 + "{% endif %}" * 300, "{% for i in v %}" * 24 + "{% endfor %}" * 24, "{% if v %}" * 300),
]
TOO_LONG = ["{{v}}" * 10_100, "{% if v %}" + "{% set a = 1 %}" * 3400 + "{% endif %}", "{{ [" + "v," * 10_100 + "] }}"]
WITHOUT_TEXT = [
    *(
        NESTED + "{{ n.v }}",
        NESTED + "{{ [n.v] | string }}",
        NESTED + "{{ '%s' % n.v }}",
        NESTED + "{{ '{}'.format(n.v) }}",
    ),
    *(
        NESTED + "{{ n.v ~ 'x' }}",
        NESTED + "{{ n.v | upper }}",
        NESTED + "{{ {}[n.v] }}",
        NESTED + "{{ {n.v: 1} | tojson }}",
    ),
    *("{{ v }}{{ range }}", "{{ v }}{{ self }}", "{% macro m() %}{% endmacro %}{{ m }}{{ v }}"),
]
NOT_CALLED = [
    *(
        "{{ dict.fromkeys(range(1000), v) }}",
        "{{ (1).to_bytes(10 ** 9, 'big') }}{{ v }}",
        "{{ 'x'.translate({120: v}) }}",
    ),
    *(
        "{{ 'x'.encode() }}{{ v }}",
        "{{ v.__class__ }}",
        "{{ [].append(v) }}",
        "{{ v() }}",
        "{{ ''.format.__globals__ }}{{ v }}",
    ),
    *("{{ [[v]] | sum(start=[]) }}", "{{ 'x'.maketrans({}) }}{{ v }}"),
]
BOMBS = {
    "a value of more than 64 KB|a text has at most|works on more than|range of more": TOO_LARGE,
    "more than 4096 bits|too many digits|rounds to more": TOO_LARGE_NUMBERS,
    "width above|indents JSON": TOO_WIDE,
    "rounds of loops|range of more|works on more": TOO_MANY,
    "works on more than": TOO_MUCH_WORK,
    "deep|brackets within|broken template": TOO_DEEP,
    "parts": TOO_LONG,
    "is not text|Namespace": WITHOUT_TEXT,
    "may not be called|unsafe|only numbers can be summed|not callable|no attribute": NOT_CALLED,
}
ALL = [(problem, bomb) for problem, bombs in BOMBS.items() for bomb in bombs]


def fill(bomb: str, **variables: object) -> str | None:
    content = Content(message=Message(body=bomb))
    content.check()
    return content.render(0, variables).body


def passed(bomb: str) -> Content | None:
    """What the check lets pass."""
    content = Content(message=Message(body=bomb))
    try:
        content.check()
    except InvalidMessage:
        return None
    return content


def fills(content: Content) -> bool:
    try:
        content.render(0, {"v": 1})
    except InvalidMessage:
        return False
    return True


@pytest.mark.parametrize(("problem", "bomb"), ALL, ids=range(len(ALL)))
def test_what_takes_too_much_is_refused_in_a_line_that_names_the_field(problem: str, bomb: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        fill(bomb, v=1)
    said = str(caught.value)
    assert said.startswith("body: ")
    assert any(each in said for each in problem.split("|")), said
    assert len(said) < 400
    assert said.isprintable()


@pytest.mark.parametrize("bomb", [*TOO_LARGE, *TOO_LARGE_NUMBERS, *TOO_WIDE, *WITHOUT_TEXT])
def test_filling_takes_little_memory(bomb: str) -> None:
    content = passed(bomb)
    tracemalloc.start()
    try:
        is_filled = content is None or fills(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MEMORY
    assert content is None or not is_filled


@pytest.mark.parametrize("bomb", [*TOO_MANY, *TOO_MUCH_WORK])
def test_filling_takes_few_steps(bomb: str) -> None:
    """Counted, not timed."""
    content = passed(bomb)
    assert content is not None
    counted = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        is_filled = fills(content)
    finally:
        sys.setprofile(None)
    assert counted < STEPS
    assert not is_filled


IN_A_PROCESS = """
import json, resource, sys
from stentor.errors import InvalidMessage
from stentor.model import Message
from stentor.planning.content import Content

found = []
for bomb in json.load(sys.stdin):
    try:
        content = Content(message=Message(body=bomb))
        content.check()
        content.render(0, {"v": 1})
    except InvalidMessage:
        found.append(bomb)
json.dump(len(found), sys.stdout)
"""


def test_a_process_with_little_memory_and_time_survives_them_all() -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (512 * 1024**2, 512 * 1024**2))
        resource.setrlimit(resource.RLIMIT_CPU, (120, 120))

    bombs = [bomb for _, bomb in ALL]
    done = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS],
        input=json.dumps(bombs),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert json.loads(done.stdout) == len(bombs)


# -- what is allowed -------------------------------------------------------------------------------------------------


def test_what_is_just_within_the_limits_is_filled() -> None:
    assert fill(f"{{{{ v * {LARGEST_TEXT} }}}}", v="x") == "x" * LARGEST_TEXT
    assert fill("{% for i in range(1000) %}{{ v }}{% endfor %}", v="x") == "x" * LONGEST_RANGE
    rounds = "{% for i in range(10) %}{% for j in range(997) %}{{ v }}{% endfor %}{% endfor %}"
    assert fill(rounds, v="x") == "x" * (ROUNDS - 30)  # the other rounds are the outer loop's and the calls of `range`
    assert fill("{{ " + "(" * MOST_BRACKETS + "v" + ")" * MOST_BRACKETS + " }}", v="x") == "x"
    assert fill("{{ v" + " | upper" * (DEEPEST - 3) + " }}", v="x") == "X"
    macro = "{% macro m(n) %}{{ n }}{% if n %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(v) }}"
    assert fill(macro, v=DEEPEST_CALL - 1) == "".join(str(number) for number in reversed(range(DEEPEST_CALL)))
    assert fill("{{ v }}" * 9000, v="x") == "x" * 9000


ITEMS = [{"name": f"Shoe {number}", "price": number * 1.5, "tags": ["a", "b"]} for number in range(60)]


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ v | map(attribute='name') | join(', ') }}", ", ".join(f"Shoe {number}" for number in range(60))),
        ("{% for i in v if i.price > 80 %}{{ loop.index }}/{{ loop.length }} {{ i.name }};{% endfor %}",
         "".join(f"{at}/6 Shoe {at + 53};" for at in range(1, 7))),
        ("{{ v | sum(attribute='price') | round(1) }}", "2655.0"),
        ("{{ v | batch(30) | map('length') | list }}", "[30, 30]"),
        ("{{ v | groupby('tags') | length }}", "1"),
        ("{{ '%s has %05.1f%%' | format('x', 12.345) }}", "x has 012.3%"),
        ("{{ '{:>5}|{a!r}'.format(1, a='b') }}{{ '{a}'.format_map({'a': 2}) }}", "    1|'b'2"),
        ("{{ '%-5s|' % 'a' }}{{ 'a'.ljust(3) }}|{{ '7'.zfill(3) }}", "a    |a  |007"),
        ("{{ v[:2] | map(attribute='tags') | sum(start=0) if false else v[0].tags[::-1] | join }}", "ba"),
        ("{% for i in [1, [2, [3]]] recursive %}{{ loop(i) if i is sequence else i }}{% endfor %}", "123"),
        ("{% autoescape true %}{{ '<' ~ '>' }}{{ '<b>' | safe }}{% endautoescape %}{{ '<' ~ 1 }}", "&lt;&gt;<b><1"),
        ("{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ dict(a=1).items() | list }}",
         "aba[('a', 1)]"),
        ("{% for a, b in {'x': 1, 'y': 2}.items() %}{{ a }}{{ b }}{{ ', ' if not loop.last }}{% endfor %}", "x1, y2"),
        ("{% macro m(a, b=2) %}{{ a }}{{ b }}{{ caller() }}{% endmacro %}{% call m(1) %}c{% endcall %}", "12c"),
        ("{{ 7 // 2 }} {{ 7 % 2 }} {{ 2 ** 10 }} {{ 1 - 2 }} {{ 7 / 2 }} {{ -3 }} {{ [1] + [2] }} {{ 'a' + 'b' }}",
         "3 1 1024 -1 3.5 -3 [1, 2] ab"),
        ("{{ v[0] | tojson }}", '{"name": "Shoe 0", "price": 0.0, "tags": ["a", "b"]}'),
        ("{{ 'a b c d' | wordwrap(3) }}|{{ 'a\nb' | indent(2) }}|{{ ' x ' | trim }}|{{ 'abc' | truncate(9) }}",
         "a b\nc d|a\n  b|x|abc"),
        ("{{ 'b' in 'abc' }} {{ 3 is divisibleby(3) }} {{ v[0].name is eq 'Shoe 0' }} {{ [3, 1] | sort | first }}",
         "True True True 1"),
    ],
)  # fmt: skip
def test_what_people_write_is_filled_as_before(template: str, text: str) -> None:
    assert fill(template + "{{ w }}", v=ITEMS, w="") == text


def test_all_texts_of_a_message_share_what_it_may_take() -> None:
    loop = "{% for i in range(900) %}{{ v }}{% endfor %}"
    Content(message=Message(data={str(number): loop for number in range(11)})).render(0, {"v": ""})
    with pytest.raises(InvalidMessage, match=r"^data\.11: the template takes more than 10,000 rounds"):
        Content(message=Message(data={str(number): loop for number in range(12)})).render(0, {"v": ""})


def test_what_somebody_brings_with_them_counts_too() -> None:
    content = Content(message=Message(title="{{ v | default('x') }}{{ w[:3] }}"))
    for variables in ({"v": "x" * LARGEST_TEXT + "x"}, {"v": 2**5000}, {"v": [["x" * 999] * 100]}):
        with pytest.raises(InvalidMessage, match=r"^title: .*(64 KB|65,536|4096 bits)"):
            content.render(0, {"v": "", "w": "", **variables})
    assert content.render(0, {"v": "a", "w": "bcde"}).title == "abcd"


@pytest.mark.parametrize("name", ["lipsum()", "[1, 2] | random"])
def test_what_differs_at_each_attempt_is_not_there(name: str) -> None:
    """The same recipient gets the same text at every attempt."""
    with pytest.raises(InvalidMessage, match=r"^body: (needs `lipsum`|broken template, line 1: No filter)"):
        fill(f"{{{{ {name} }}}}{{{{ v }}}}", v=1)


@pytest.mark.parametrize("tag", ["include 'x'", "extends 'x'", "import 'x' as y", "from 'x' import y"])
def test_there_are_no_other_templates(tag: str) -> None:
    with pytest.raises(InvalidMessage, match=r"^title: broken template, line 2: there are no other templates"):
        Content(message=Message(title=f"\n{{% {tag} %}}")).check()


PIECES = """
{{ }} {% %} if for in else endif endfor set macro endmacro call endcall block endblock v w 1 0 'x' 10**9 ( ) [ ] { } :
, . | ~ + * ** % / // - == not and is == upper join map batch format center list loop range(9) namespace() caller self
items attr default('x') tojson x = filter endfilter with endwith autoescape true endautoescape recursive '%s' \\
'{}'.format round sum sort replace('x','yy') [1:] {'a':v} ä " # {# #} {%- -%} raw endraw
"""


@given(st.lists(st.sampled_from(PIECES.split()), max_size=30).map(" ".join))
def test_whatever_is_written_is_a_text_or_refused(written: str) -> None:
    content = Content(message=Message(title=written, body="x"))
    try:
        content.check()
        content.render(0, {"v": [1, "x"], "w": {"a": 1}})
    except InvalidMessage as error:
        refused = error.field
    else:
        refused = "title"
    assert refused == "title"


def test_the_bounds_are_counts() -> None:
    assert (ROUNDS, LONGEST_RANGE, LARGEST_TEXT, WORK) == (10_000, 1_000, 65_536, 500_000)
