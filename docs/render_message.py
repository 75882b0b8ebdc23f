"""Draws `docs/message.md` from the model: `python docs/render_message.py > docs/message.md`.

A test fails when the page and the model differ, a field has no docstring, or an example on it is no valid message.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from stentor import model
from stentor.model import Message

INTRODUCTION = """\
# The message

Drawn from `src/stentor/model.py` by `docs/render_message.py`; don't edit it here.

What a campaign says: a message in words that every provider has, what only one of them understands, and the same in
other languages. From a program it is `Content(message=Message(…), translations={"de": Translation(…)})`
([library.md](library.md)), for `stentor send --message` a TOML file, or a JSON file with the same names:

```toml
title = "Sale"
body = "Ends tonight, {{ first_name | default('you') }}!"
image = "https://example.com/sale.png"
ttl = 14400

[data]
screen = "sale"

[apns]
interruption_level = "time-sensitive"

[telegram]
text = "<b>Sale!</b> Ends tonight."
parse_mode = "HTML"
buttons = [[{ text = "Show", url = "https://example.com/sale" }]]

[translations.de]
title = "Ausverkauf"
body = "Nur noch heute, {{ first_name | default('du') }}!"

[translations.de.telegram]
text = "<b>Ausverkauf!</b> Nur noch heute."
buttons = [[{ text = "Ansehen", url = "https://example.com/de/sale" }]]
```

`stentor send --message sale.toml --audience users --dry-run` checks all of it, in each language, by the rules of each
provider that is in the audience, and shows what the message becomes for each. An unknown field, a value of the wrong
type or a broken template is an error that names the field, and nothing is sent. Where None is said to remove something,
write the file as JSON, with `null`: TOML has none.

## Languages

A translation says what is otherwise in a language; whatever it leaves out stays as it is in the message. It may have
`title`, `subtitle`, `body`, `image`, `sound`, and any of `data`, `options` and the channels' tables, which are laid
over the message's field by field; a list, such as `buttons`, takes the place of the whole list.

Each installation gets the translation that serves the language in its `language` column
([configuration.md](configuration.md)). The rules are CLDR's, the same that phones use:

| an installation says | it gets the first of these that is there, or else the message itself |
|---|---|
| `de-AT` | `de-AT`, `de` (or `de-DE`, which is the same) |
| `es-MX` | `es-MX`, `es-419`, `es` |
| `pt-AO` | `pt-AO`, `pt-PT`, `pt` (or `pt-BR`, which is the same) |
| `en-IN` | `en-IN`, `en-001`, `en` |
| `zh-TW`, `zh_TW`, `zh-rTW`, `zh_TW_#Hant` | `zh-TW`, `zh-Hant`; never `zh`, which is in simplified characters |
| `zh-HK` | `zh-HK`, `zh-Hant` (or `zh-TW`, which is the same) |
| `zh-CN` | `zh-CN`, `zh-Hans`, `zh` |
| `sr-Latn` | `sr-Latn`; never `sr`, which is in Cyrillic |
| `nb-NO`; `no`; `nn` | `nb`, `no`; `no`, `nb`; `nn`, `no`, `nb` |
| `iw`, `in`, `tl`, `sh` | as `he`, `id`, `fil`, `sr-Latn` |

- **The exact tag wins** if it is there, in any case and with `-` or `_`.
- **Nobody gets another script** than their tag implies.
- A tag that cannot be read gets the message itself. Tags are BCP 47's (`de`, `pt-BR`, `zh-Hant`), Java's and Android's
  (`zh_CN_#Hans`, `zh-rTW`, `b+zh+Hant+TW`), or POSIX' (`de_AT.UTF-8`).

A dry run tells which translation each language tag of the audience gets, and how many have it: `de-AT → de 1,204`.
So do the API's preview and the check in the dashboard.

The registry has a column `language` of its own (`stentor import`).

## Templates

Any text of a message, at any depth, may hold [Jinja](https://jinja.palletsprojects.com): `{{ first_name }}`, filters,
`{% if vip %}`. The names are the audience's columns, those listed as its `attributes` among them, and what else was
imported into the registry. Templates run in Jinja's sandbox: they read values and can do nothing else.

Values that are the same for everybody come with the campaign: `stentor send --set episode=12` fills `{{ episode }}` in
its message. They are shown as they are, so text from elsewhere is safe there: braces in it are no template. A value
that no text uses is an error. If the audience has a column or attribute of the same name, everybody gets the value of
`--set`, and the preview says so.

- **What is missing is an error, never a gap.** Who lacks a value (NULL counts as missing) is rejected alone, as
  `TemplateError`, and isn't sent to; `{{ first_name | default('you') }}` says what to write instead. Where a template
  only asks, a missing value is false: `{% if vip %}`, `{% if plan == 'pro' %}`, `{{ nickname or first_name }}`.
- **A dry run shows it as it will be.** For each app and language it fills the templates for a real recipient, or for
  the one that `--sample ID` names. It looks at up to 10,000 installations, and tells how many of them get which
  language, how many lack which value, and how many would be rejected for that. It also tells how much of each
  provider's limit the longest of these messages takes in each language: bytes of the payload for APNs (4,096; VoIP
  5,120), FCM (4,096), Web Push (3,993 before encryption) and webhooks (65,536); characters of the text for Telegram
  (4,096; a caption 1,024) and Discord (2,000).
- **What depends on a template is checked for each recipient.** One whose text grows too long is rejected alone.
- **A whole number is one, however long.** What other columns come as stands in
  [configuration.md](configuration.md#what-a-column-may-hold).
- **Nothing is escaped by itself.** In HTML of your own write `{{ first_name | e }}`.
- The same recipient gets the same text at every attempt, on whatever machine: Jinja's `lipsum` and `random` aren't
  there.
- **A template that needs no value is filled by the check**, so that what is wrong with it is known before the start.

A message without templates is made once for each language and app. One with templates is made for each recipient, but
for those of whom all values are the same.

## Numbers, dates and plurals

These filters write a value as the language of the text does, by CLDR, and moments in the installation's time zone
(`columns.time_zone`):

| write | an English text has | a German one |
|---|---|---|
| `{{ n \\| number }}`, `{{ n \\| number(2) }}` (digits) | `1,234.5`, `1,234.50` | `1.234,5`, `1.234,50` |
| `{{ price \\| currency('EUR') }}` | `€1,234.50` | `1.234,50 €` |
| `{{ share \\| percent }}` of `0.25` | `25%` | `25 %` |
| `{{ day \\| date('long') }}`; also `short`, `medium`, `full` | `January 31, 2030` | `31. Januar 2030` |
| `{{ at \\| time }}`, `{{ at \\| datetime('short') }}` | `6:00 PM`, `1/31/30, 6:00 PM` | `18:00`, `31.01.30, 18:00` |
| `{{ n \\| plural(one='# item', other='# items') }}` | `1 item`, `3 items` | by its own rules |

- **The language is the translation's.** The region is the installation's if it reads that language: a text in `en` has
  `31 January 2030` for `en-GB`. Say the message's own language with `language = "en"` beside `title`; else its numbers
  are written in each installation's language, and a dry run warns of it. With `language`, people whose tag is closest
  to it get the message itself.
- **Plurals** have the forms `zero`, `one`, `two`, `few`, `many` and `other`. `other` must be there, and stands for
  those that aren't; `zero` is also for 0. `#` becomes the count. Each translation has the forms of its language.
- **A value may be text**, such as `'1234.50'` of a decimal column or `2030-01-31T18:00:00Z`. A number is a moment in
  epoch seconds, or milliseconds from 100,000,000,000. A moment without a zone is one of UTC. Without a time zone of the
  installation a moment stays in its own zone; `time('short', zone='Europe/Berlin')` names one.
- **What cannot be written is an error**: `` `number`: 'abc' is not a number ``, for that recipient alone. A filter that
  is called wrongly, such as `currency('euro')`, is found by the check.

## Leaving somebody out

`{{ skip('no open order') }}` ends the message for this recipient: nothing is sent, and the recipient ends as `Skipped`
with this reason, of at most 100 characters.

```jinja
{% if open_orders == 0 %}{{ skip('no open order') }}{% endif %}You have {{ open_orders | number }} open orders.
```

- **Everybody who is left out is counted**: in the dry run, and in the report as "left out by a rule". They are among
  the rejected, so that all counts still add up to the audience. `campaign explain` gives the reason.
- **Nothing is wrong with them.** No address counts as dead, and a retry leaves them out, unless it asks for them with
  `--reason Skipped`.
- `title = "{{ skip('no translation') }}"` in the message itself leaves out everybody without a translation.

## Liquid

With `templates = "liquid"` beside `title`, the templates of the message and its translations are
[Liquid](https://shopify.github.io/liquid/), as Braze, OneSignal and Customer.io have it: `{% if plan == 'pro' %}`,
`{{ first_name | default: 'you' }}`. Everything above holds for it, too: names, missing values, `number`, `currency`,
`percent`, `date`, `time`, `datetime` and `plural` (`{{ n | plural: one: '# item', other: '# items' }}`), and the bounds
below.

- **Texts from Braze work as they are.** `${first_name}`, `custom_attribute.${plan}`, `event_properties.${item}` and
  `api_trigger_properties.${episode}` are read as `first_name`, `plan`, `item` and `episode`, also with braces in a tag:
  `{% if {{custom_attribute.${plan}}} == 'pro' %}`. What only Braze knows, such as `campaign.${name}` or
  `connected_content`, is an error of the check.
- `{% abort_message('not pro') %}` leaves the recipient out, as `skip` does in Jinja.
- `date` takes a length such as `'long'`, or a format: `{{ at | date: '%d.%m.' }}`.
- `now` and `today` aren't there, as they say something else at each attempt. `include` and `render` have nothing to
  take from.

## How much a message may take

These bounds are the same for a check, a dry run and sending, and on every machine. What is more is an error that names
the field: of the message if the check finds it, and else of the recipient alone, as `TemplateError`.

| what | at most |
|---|---|
| a text, as it is written and as it is sent | 64 KB |
| a message with its translations | 1 MB (its file 4 MB) |
| translations | 255 |
| objects and lists within each other | 50 |
| parts of a name in a TOML file, with dots between | 51 |
| templates of a message with its translations | 10,000 names, constants, operators, filters and blocks in all |
| blocks and expressions of a template within each other | 50; brackets 15 |
| any value while a template is filled, a list's items counting 8 bytes each | 64 KB; whole numbers 4,096 bits |
| a `range` | 1,000 numbers |
| rounds of all loops, calls, and items that filters go through, for one recipient | 10,000 |
| calls within calls (macros, `caller`, recursive loops) | 20 |
| widths and precisions in formats | 1,000; `*` isn't possible |
| all that is made and looked at, for one recipient | 500,000 characters |

A text can have no NUL character, and no half of a character (a lone surrogate). Methods of values can be called where
they make something new of them (`name.upper()`, `items.get("a")`, `when.strftime("%d.%m.")`); others can't, and
`include`, `import` and `extends` have nothing to take from.
"""
TYPES: Mapping[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
    bytes: "base64",
}
PAGES = {
    "ApnsOptions": "apns.md",
    "FcmOptions": "fcm.md",
    "WebPushOptions": "webpush.md",
    "TelegramOptions": "telegram.md",
    "DiscordOptions": "discord.md",
    "WebhookOptions": "webhook.md",
}
"""Where there is more about a channel's options."""


def page() -> str:
    """The page as it should be."""
    parts = [_section(", ".join(f"`{place}`" for place in places), kind) for kind, places in tables().items()]
    return "\n".join([INTRODUCTION, _section("The fields", Message), *parts])


def tables() -> dict[type, list[str]]:
    """What a message may have in it, and where, in order."""
    found: dict[type, list[str]] = {}
    for place, kind in _within(Message, ""):
        found.setdefault(kind, []).append(place)
    return found


def meanings(kind: type) -> dict[str, str]:
    """What its docstrings say of each field, or of the field's type."""
    said = _docstrings(kind)
    return {each.name: said.get(each.name, "") or _of_type(each.name, kind) for each in fields(kind)}


def _section(title: str, kind: type) -> str:
    said = meanings(kind)
    hints = get_type_hints(kind)
    rows = [
        f"| `{each.name}` | {_type(hints[each.name])} | {_default(each)} | {_line(said[each.name])} |"
        for each in fields(kind)
    ]
    more = f" More in [{PAGES[kind.__name__]}]({PAGES[kind.__name__]})." if kind.__name__ in PAGES else ""
    head = ["| field | is | default | what it says |", "|---|---|---|---|"]
    return "\n".join([f"## {title}", "", f"{_line(inspect.getdoc(kind) or '')}{more}", "", *head, *rows, ""])


def _within(kind: type, place: str) -> Iterator[tuple[str, type]]:
    for name, hint in get_type_hints(kind).items():
        for inner in _dataclasses(hint):
            yield f"{place}{name}", inner
            yield from _within(inner, f"{place}{name}.")


def _dataclasses(hint: Any) -> Iterator[type]:
    if isinstance(hint, type) and is_dataclass(hint):
        yield hint
    for inner in get_args(hint):
        yield from _dataclasses(inner)


def _docstrings(kind: type) -> dict[str, str]:
    """By field: the string below it, which Python itself doesn't keep."""
    (tree,) = (
        node
        for node in ast.parse(inspect.getsource(model)).body
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__
    )
    found = {}
    for field, below in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            found[field.target.id] = inspect.cleandoc(ast.literal_eval(below.value))
    return found


def _of_type(name: str, kind: type) -> str:
    for inner in _arms(get_type_hints(kind)[name]):
        if isinstance(inner, type) and (is_dataclass(inner) or issubclass(inner, Enum)):
            return inspect.getdoc(inner) or ""
    return ""


def _arms(hint: Any) -> tuple[Any, ...]:
    """What a value may be, None apart."""
    arms = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return tuple(each for each in arms if each is not type(None))


def _type(hint: Any) -> str:
    (arm,) = _arms(hint)
    if arm in TYPES:
        return TYPES[arm]
    if get_origin(arm) is tuple:
        return f"list of {_plural(_type(get_args(arm)[0]))}"
    if get_origin(arm) is not None:
        return "table of texts" if get_args(arm)[1] is str else "table"
    return ", ".join(f"`{each.value}`" for each in arm) if issubclass(arm, Enum) else "table"


def _plural(name: str) -> str:
    return name.replace("list", "lists", 1) if name.startswith("list") else f"{name}s"


def _default(of: Field[Any]) -> str:
    if of.default is MISSING and of.default_factory is MISSING:
        return "required"
    if of.default in (None, (), MISSING):
        return ""
    value = of.default.value if isinstance(of.default, Enum) else of.default
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`"


def _line(text: str) -> str:
    """As a cell: the first paragraph, in words of a file."""
    said = " ".join(text.split("\n\n", maxsplit=1)[0].split()).replace("|", "\\|")
    said = re.sub(r"(^|\. )`Message\.", r"\1The message's `", said)
    return re.sub(r" \(docs/\S+\)", "", said.replace("`Message.", "the message's `"))


if __name__ == "__main__":
    sys.stdout.write(page())
