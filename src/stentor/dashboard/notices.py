"""What a page says first after something was done. Its address only names it, so nobody can have it say more."""

from __future__ import annotations

SAID = {
    "signed-out": "You are signed out.",
    "password-set": "The password is set. Sign in with it.",
}
