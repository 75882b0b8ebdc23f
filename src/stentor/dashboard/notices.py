"""What a page says first after something was done. Its address only names it, so nobody can have it say more."""

from __future__ import annotations

SAID = {
    "signed-out": "You are signed out.",
    "draft-saved": "The draft is saved.",
    "draft-deleted": "The draft is deleted.",
    "taken-back": "Taken back: nothing was sent. This is a draft again, with the time to start that it had before.",
    "too-late": "Too late: it has started already. You can pause or cancel it here.",
    "password-set": "The password is set. Sign in with it.",
    "draining": "No campaign starts from now on. Those under way go on.",
    "drain-ended": "Campaigns may start again.",
    "role-set": "The role is changed. It counts from this person's next request on.",
    "user-disabled": "This user can't sign in any more, and is signed out everywhere.",
    "user-enabled": "This user may sign in again.",
    "user-signed-out": "This user is signed out everywhere.",
    "key-revoked": "The key is revoked. Every process refuses it within 5 seconds.",
    "session-ended": "That browser is signed out.",
    "sessions-ended": "All your other browsers are signed out.",
    "installation-added": "The installation is in the registry now.",
    "installation-changed": "The installation is changed.",
    "installation-revived": "The installation is changed, and it is sent to again.",
    "installation-unchanged": "All of this was known already, so nothing is changed.",
    "installation-deleted": "The installation is no longer in the registry.",
    "campaign-started": "The campaign is started.",
    "campaign-paused": "The campaign is paused. Sending stops within a second.",
    "campaign-resumed": "The campaign goes on.",
    "campaign-cancelled": "The campaign is stopped for good. Nothing more is sent.",
    "campaign-again": "This new campaign is for those who were not reached. It is a draft: start it to send it.",
    "campaign-undo": "This new campaign takes the message back. It is a draft: start it to take the message back.",
    "campaign-edit": "This new campaign puts the new message in place. It is a draft: start it to change the messages.",
}
