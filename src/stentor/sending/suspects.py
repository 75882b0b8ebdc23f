"""Batches that may have killed their senders: each is sent alone, so that nobody else's count of deaths rises with it.

Of several that the same dead senders held, nobody knows which is to blame. So one is drawn by lot and sent; the others
are put back, with their deaths forgotten. If it kills us, no other was held; if it doesn't, the next has its turn. So
a batch is put aside for deaths of its own only. Pure, but for the lot.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from stentor.queue.contract import Lease

SUSPECT = 2
"""Deliveries beyond which a batch is a suspect."""
NEXT_TURN = 0.25
"""Seconds after which a suspect is looked at again that was given back as another one is under way."""


class Suspects:
    """The suspects that a lane's sender has seen."""

    def __init__(self, quarantine: set[str]) -> None:
        """Args:
        quarantine: ids of the suspect under way, if one is; shared by all lanes of the process, as it would end all.
        """
        self._quarantine = quarantine
        self._pardoned: set[str] = set()

    def __repr__(self) -> str:
        return f"<Suspects: {len(self._quarantine)} under way, {len(self._pardoned)} pardoned>"

    def __contains__(self, lease: Lease) -> bool:
        return lease.deliveries > SUSPECT or self.pardons(lease)

    def pardons(self, lease: Lease) -> bool:
        """Whether its deaths don't count, as others were held along with it."""
        return lease.id in self._pardoned

    def draw(self, leases: Sequence[Lease]) -> tuple[list[Lease], list[tuple[Lease, float]]]:
        """Of some that were taken: which to keep, one suspect among them at most, and which to put back, with the
        seconds before they are taken again. The one that is kept is in quarantine from now on."""
        suspects = [lease for lease in leases if lease in self]
        if not suspects:
            return list(leases), []
        drawn = None if self._quarantine else random.choice(suspects)
        if drawn is not None:
            self._quarantine.add(drawn.id)
        away = {lease.id: lease for lease in suspects if lease is not drawn}
        if away:
            self._pardoned.update(lease.id for lease in suspects)
        delay = NEXT_TURN if drawn is None else 0.0
        return [lease for lease in leases if lease.id not in away], [(lease, delay) for lease in away.values()]

    def put_off(self, leases: Iterable[Lease]) -> None:
        """These aren't sent after all; another may have its turn."""
        self._quarantine.difference_update(lease.id for lease in leases)

    def acquit(self, lease: Lease) -> None:
        """It is settled or given back, and we are alive."""
        self._pardoned.discard(lease.id)
        self._quarantine.discard(lease.id)
