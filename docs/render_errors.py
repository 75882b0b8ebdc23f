"""Draws `docs/errors.md` from the problems of the API: `python docs/render_errors.py > docs/errors.md`.

A test fails when the page and the table differ.
"""

from __future__ import annotations

import sys

from stentor.api.problems import KINDS

INTRODUCTION = """\
# Errors of the API

Drawn from `src/stentor/api/problems.py` by `docs/render_errors.py`; don't edit it here.

If the API cannot do what you ask, it answers with `application/problem+json`
([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)):

```json
{
  "type": "/v1/problems/invalid-message",
  "title": "The message cannot be sent as it is",
  "status": 422,
  "detail": "titel: is not a field of a message; did you mean `title`?",
  "errors": [{ "detail": "titel: is not a field of a message; did you mean `title`?", "pointer": "/message/titel" }]
}
```

- `type` tells kinds of problems apart, and keeps its meaning. Open it in a browser to read what it means.
- `detail` says what is wrong this time, and what to do. Show it to people; don't let programs read it.
- `errors` names the fields at fault: by `pointer` into the body (a JSON pointer, RFC 6901), or by `parameter` of the
  query or the path.
- `campaign` is the id of the campaign that stands in the way, if there is one.

Each answer has an `X-Request-Id`. After a 500, the log has the same id.
"""


def page() -> str:
    kinds = (f"## {kind.slug}\n\n**{kind.status}** · {kind.title}.\n\n{kind.remedy}\n" for kind in KINDS)
    return "\n".join([INTRODUCTION, *kinds])


if __name__ == "__main__":
    sys.stdout.write(page())
