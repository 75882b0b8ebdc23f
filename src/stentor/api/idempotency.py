"""`Idempotency-Key`: a request that is sent again under its key is answered alike, and nothing is done twice.

As the IETF's draft "The Idempotency-Key HTTP Header Field" (draft-ietf-httpapi-idempotency-key-header-07) has it.
Rules: a key belongs to its caller; only answers below 500 are kept; what was made by a request that was cut short is
found under the id that the key reserved (`store.replies`).
"""

from __future__ import annotations

import hashlib
import math
import re

from starlette.requests import Request

from stentor.access.caller import Caller
from stentor.api.problems import IN_PROGRESS, INVALID_INPUT, OTHER_BODY, FieldProblem, ProblemAnswer
from stentor.runtime.replies import Replies
from stentor.store.replies import Busy, KeptReply, KeyClaim, OtherQuestion

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
LONGEST_KEY = 255
KEY = rf"[ -~]{{1,{LONGEST_KEY}}}"
"""What a key is made of."""
LARGEST = 256 * 1024
"""Bytes of an answer that is kept. Of a larger one, the operation must be one that does no harm twice."""


def key_of(request: Request) -> str | None:
    """The request's key. Raises: ProblemAnswer: it cannot be one."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    key = key.strip().strip('"')
    if not re.fullmatch(KEY, key):
        said = f"must have 1 to {LONGEST_KEY} visible ASCII characters"
        raise ProblemAnswer(INVALID_INPUT, f"{HEADER}: {said}", errors=[FieldProblem(parameter=HEADER, detail=said)])
    return key


def question(request: Request, body: bytes) -> bytes:
    """What is asked, as SHA-256."""
    asked = hashlib.sha256(f"{request.method} {request.url.path}?{request.url.query}\n".encode())
    asked.update(body)
    return asked.digest()


async def claim(replies: Replies, caller: Caller, key: str, asked: bytes) -> KeyClaim | KeptReply:
    """The right to work on a request, or what was answered to it before.

    Raises: ProblemAnswer: it is being worked on, or the key was used for something else.
    """
    found = await replies.claim(caller.id, key, asked)
    if isinstance(found, Busy):
        wait = max(1, math.ceil(min(found.seconds, 2.0)))
        raise ProblemAnswer(
            IN_PROGRESS, "A request with this key is still being worked on.", headers={"Retry-After": str(wait)}
        )
    if isinstance(found, OtherQuestion):
        raise ProblemAnswer(OTHER_BODY, "This key was used before, for another request or another body.")
    return found
