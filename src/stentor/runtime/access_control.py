"""Who may do what: `Stentor.access`. Its parts are the room `access/`, put together for one configuration."""

from __future__ import annotations

from stentor.access.csrf import Csrf
from stentor.access.hashing import Hasher
from stentor.access.keys import Keys
from stentor.access.log import ActionLog
from stentor.access.oidc import OidcSignIn
from stentor.access.sessions import Sessions
from stentor.access.signing import Signer
from stentor.access.users import Users
from stentor.runtime.resources import Resources


class AccessControl:
    """Keys, users, sessions, and the log of who did what."""

    def __init__(self, resources: Resources) -> None:
        database, clock, settings = resources.database, resources.clock, resources.config.access
        public_url = resources.config.api.public_url
        self._hasher = Hasher()
        self._signer = Signer(database)
        self.keys = Keys(database, clock)
        """API keys: made, rolled, revoked, recognized."""
        self.users = Users(database, clock, self._hasher, self._signer, resources.config.api.address)
        """Users: made, given a role or a password, disabled; one-time links."""
        self.sessions = Sessions(database, clock, settings, self._hasher, self._signer)
        """Sign-in and sessions."""
        self.csrf = Csrf(self._signer)
        """Tokens for forms."""
        self.oidc = OidcSignIn(settings, public_url, clock, self._signer, self.users, self.sessions)
        """Signing in at an OpenID provider."""
        self.log = ActionLog(database, clock)
        """Who did what."""

    def __repr__(self) -> str:
        return f"<AccessControl with {self.keys!r}>"

    async def signing_key(self) -> bytes:
        """The key with which doors sign what comes back to them, such as cursors; the same in every process.

        Raises: StoreUnavailable.
        """
        return await self._signer.key("doors")

    async def aclose(self) -> None:
        """Finish what is being noted."""
        await self.keys.aclose()
        self._hasher.close()
