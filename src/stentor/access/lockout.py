"""Makes guessing slow: failed sign-ins in a row are counted by user name and by network address, in the store.

Rules: an attempt is counted before its password is looked at, so that many at once don't get past the limit; a name
that doesn't exist is counted like one that does; the store has only keyed hashes of names and addresses. All processes
count together.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from sqlalchemy import case, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import TooManyAttempts
from stentor.store.database import Database, insert_or_ignore
from stentor.store.tables import attempts

PURPOSE = "lock-out"
FREE_BY_USER, FREE_BY_ADDRESS = 5, 20
"""Failures in a row that cost no wait. An office may share an address."""
FIRST_WAIT, LONGEST_WAIT = 2.0, 3600.0
"""Seconds after the first failure beyond that; each further one doubles them, up to the longest."""
FORGOTTEN_AFTER = 86_400.0
"""Seconds without a failure after which none is counted any more."""
SWEPT = 20
"""Old rows that are deleted with an attempt, which makes two at most."""
_IPV6_NETWORK = 64
"""Bits of an IPv6 address that tell one customer from another."""


@dataclass(frozen=True, slots=True)
class _Counted:
    name: str
    failures: int
    until: float
    """Epoch seconds; no attempt before."""
    before: float
    """What `until` was before this attempt."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that was counted as a failure until it succeeds."""

    counted: tuple[_Counted, ...]
    user: str

    @property
    def in_a_row(self) -> int:
        """Failures of this user's in a row, this attempt among them."""
        return next(each.failures for each in self.counted if each.name == self.user)

    def wait(self, now: float) -> float:
        """Seconds from now in which no further attempt is allowed, if this one fails."""
        return max(0.0, *(each.until - now for each in self.counted))


async def begin(database: Database, key: bytes, user: str, address: str | None, now: float) -> Attempt:
    """Count an attempt to sign in.

    Args:
        key: for PURPOSE; see `signing.derive`.
        user: the name that was given, folded; whether there is such a user doesn't matter.
        address: where it comes from, as far as it is known.

    Raises:
        TooManyAttempts: there were too many failures; nothing was counted.
        StoreUnavailable.
    """
    by_user = _name(key, "user", user)
    limits = {by_user: FREE_BY_USER}
    if address is not None:
        limits[_name(key, "address", network_key(address))] = FREE_BY_ADDRESS

    async def change(connection: AsyncConnection) -> tuple[_Counted, ...] | float:
        names = sorted(limits)
        for name in names:
            await connection.execute(
                insert_or_ignore(connection, attempts).values(name=name, failures=0, until=0, at=now)
            )
        query = select(*attempts.c).where(attempts.c.name.in_(names)).order_by(attempts.c.name).with_for_update()
        rows = (await connection.execute(query)).all()
        wait = max(row.until for row in rows) - now
        if wait > 0:
            return float(min(wait, LONGEST_WAIT))  # whatever a clock was set to
        counted = []
        for row in rows:
            failures = 1 if now - row.at > FORGOTTEN_AFTER else row.failures + 1
            until = now + wait_after(failures, limits[row.name])
            counted.append(_Counted(row.name, failures, until, row.until))
            mine = update(attempts).where(attempts.c.name == row.name)
            await connection.execute(mine.values(failures=failures, until=until, at=now))
        return tuple(counted)

    found = await database.write(change)
    if isinstance(found, float):
        raise TooManyAttempts(found)
    return Attempt(found, by_user)


async def succeed(connection: AsyncConnection, attempt: Attempt) -> None:
    """Forget the user's failures, and take this attempt back from its address's."""
    for each in sorted(attempt.counted, key=lambda counted: counted.name):
        mine = attempts.c.name == each.name
        if each.name == attempt.user:
            await connection.execute(delete(attempts).where(mine))
            continue
        ours = attempts.c.until == each.until
        values = {
            "failures": case((attempts.c.failures > 0, attempts.c.failures - 1), else_=0),
            "until": case((ours, each.before), else_=attempts.c.until),
        }
        await connection.execute(update(attempts).where(mine).values(values))


async def forgive(connection: AsyncConnection, key: bytes, user: str) -> None:
    """Forget a user's failures: a new password was set by a link."""
    await connection.execute(delete(attempts).where(attempts.c.name == _name(key, "user", user)))


async def sweep(connection: AsyncConnection, now: float) -> None:
    """Delete some of the rows that count for nothing any more."""
    old = select(attempts.c.name).where(attempts.c.at < now - FORGOTTEN_AFTER).order_by(attempts.c.name)
    chosen = old.limit(SWEPT).with_for_update(skip_locked=True)
    await connection.execute(delete(attempts).where(attempts.c.name.in_(chosen)))


def wait_after(failures: int, free: int) -> float:
    """Seconds to wait after this many failures in a row, if the first `free` cost nothing."""
    if failures <= free:
        return 0.0
    return float(min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(failures - free - 1, 20)))


def network_key(address: str) -> str:
    """What is counted together: an IPv4 address, or the network of an IPv6 one: its owner has all addresses in it."""
    found = _read(address)
    if isinstance(found, IPv6Address):
        return str(ip_network((found, _IPV6_NETWORK), strict=False))
    return address if found is None else str(found)


def network_shown(address: str | None) -> str:
    """An address as far as people are shown it: `198.51.100.0/24`, `2001:db8:1::/48`."""
    found = None if address is None else _read(address)
    if found is None:
        return "an unknown address"
    return str(ip_network((found, 24 if isinstance(found, IPv4Address) else 48), strict=False))


def _read(address: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _name(key: bytes, kind: str, what: str) -> str:
    return f"{kind}/{hmac.digest(key, f'{kind}/{what}'.encode('utf-8', 'surrogatepass'), 'sha256').hex()}"
