"""What a page says first after something was done. Its address only names it, so nobody can have it say more."""

from __future__ import annotations

SAID = {
    "signed-out": "You are signed out.",
    "draft-saved": "The draft is saved.",
    "draft-deleted": "The draft is deleted.",
    "taken-back": "Taken back: nothing was sent, and this is a draft again.",
    "too-late": "Too late: it has started already. You can pause or cancel it here.",
    "password-set": "The password is set. Sign in with it.",
}
