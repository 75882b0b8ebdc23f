"""Tokens that show that a form came from one of our pages: bound to a session, good in every process.

A token is a random mask and an HMAC of the mask and the session. So each page has another one, and nobody can find it
out byte by byte from the length of compressed answers (BREACH).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets

from stentor.access.signing import Signer

PURPOSE = "csrf"
MASK = 16
LENGTH = 64
"""Characters of a token."""


class Csrf:
    """Makes and checks tokens for forms."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    async def token(self, session: str) -> str:
        """A token for a form.

        Args:
            session: the session's cookie; before sign-in, a random cookie of the page's own.

        Raises: StoreUnavailable.
        """
        mask = secrets.token_bytes(MASK)
        return base64.urlsafe_b64encode(mask + self._mac(await self._signer.key(PURPOSE), mask, session)).decode()

    async def holds(self, session: str, token: str) -> bool:
        """Whether `token` was made for this session. Raises: StoreUnavailable."""
        if len(token) != LENGTH or not session:
            return False
        try:
            raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            return False
        expected = self._mac(await self._signer.key(PURPOSE), raw[:MASK], session)
        return hmac.compare_digest(raw[MASK:], expected)

    @staticmethod
    def _mac(key: bytes, mask: bytes, session: str) -> bytes:
        return hmac.digest(key, mask + session.encode("utf-8", "surrogatepass"), "sha256")
