"""Draws `docs/reasons.md` from the senders' tables: `python docs/render_reasons.py > docs/reasons.md`.

A test fails when the page and the tables differ.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from stentor.channels import BUILT_IN, find
from stentor.outcome import Verdict
from stentor.providers.contract import LONGEST_RETRY_AFTER, Rule

INTRODUCTION = f"""\
# What each answer leads to

Drawn from `src/stentor/providers/*/reasons.py` by `docs/render_reasons.py`; don't edit it here.

| verdict | what is done |
|---|---|
| RETRY | Sent again after the wait, then with growing pauses, as long as the message is worth delivering. |
| DROP | The recipient is rejected and the address reported as dead. |
| REJECT | The recipient is rejected; the address stays. Used for malformed addresses, which are never sent. |
| FIX | The message is wrong for everybody: it is stopped, and its author told. |
| STOP | Credentials or configuration are wrong: the scope is paused until somebody fixes them. No address is dropped. |
| REFRESH | A new short-lived credential is fetched once; if that is refused too, it is a STOP. |
| RECONNECT | Sent again over another connection. |
| REROUTE | Sent again to the address that the answer names; the registry keeps that one. |
| AMBIGUOUS | It may have been sent. Sent again only where the provider shows the second one in place of the first. |

A reason or a page that is not in these tables is sent again (RETRY) and never drops an address. An unexpected 2xx is
taken as ambiguous. The provider's own `Retry-After` replaces the wait given here; at most {LONGEST_RETRY_AFTER:.0f}
seconds of it are obeyed, so that one absurd header doesn't put a campaign to sleep for a day.
Another 400 of Telegram's own is a FIX, another 403 a REJECT ([telegram.md](telegram.md)).
"If all" in a meaning: when nearly every recipient gets it, the lane is stopped and nobody is dropped.
Of a webhook the status alone counts: any 2xx is a yes, and any other 4xx a `BadRequest` ([webhook.md](webhook.md)).
"""


def page() -> str:
    channels = [find(name) for name in BUILT_IN]
    sections = [line for channel in channels for line in (*_section(channel.title, channel.rules()), "")]
    return "\n".join([INTRODUCTION, *sections])


def _section(title: str, table: Iterable[Rule]) -> list[str]:
    rows = [
        f"| {rule.status} | `{rule.reason}` | {Verdict(rule.verdict).name} | {rule.scope} |"
        f" {'' if rule.wait is None else f'{rule.wait:.0f} s'} | {rule.meaning} |"
        for rule in table
    ]
    head = ["| status | reason | verdict | scope | wait | meaning |", "|---|---|---|---|---|---|"]
    return [f"## {title}", "", *head, *rows]


if __name__ == "__main__":
    sys.stdout.write(page())
