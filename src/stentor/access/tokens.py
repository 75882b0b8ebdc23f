"""Random tokens that prove something: of sessions and one-time links. Only their hash is kept."""

from __future__ import annotations

import hashlib
import secrets

BYTES = 32
LONGEST = 64
"""Characters of a text that is looked at; a token has 43."""


def new_token() -> str:
    """32 random bytes as base64url, without padding."""
    return secrets.token_urlsafe(BYTES)


def fingerprint(token: str) -> str:
    """SHA-256 in hex. Enough for what is random: nobody can guess 256 bits, so there is nothing to slow down."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def new_id() -> str:
    """16 random letters and digits, for what needs no order."""
    return "".join(secrets.choice("0123456789abcdefghjkmnpqrstvwxyz") for _ in range(16))
