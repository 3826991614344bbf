"""Room for the bodies of many answers at once: who reads more than there is room for waits until some were taken."""

import asyncio
from dataclasses import dataclass, field


@dataclass(slots=True)
class HeldBytes:
    """The bytes of bodies not yet taken. The oldest that is being read may always go on, so that one always ends."""

    max_bytes: int
    total: int = 0
    reading: dict[int, int] = field(default_factory=dict)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def add(self, place: int, n_bytes: int) -> float:
        """Count bytes in, once there is room; returns the seconds waited."""
        started = asyncio.get_running_loop().time()
        self.reading.setdefault(place, 0)
        if not self._has_room(place, n_bytes):
            async with self.changed:
                await self.changed.wait_for(lambda: self._has_room(place, n_bytes))
        self.reading[place] += n_bytes
        self.total += n_bytes
        return asyncio.get_running_loop().time() - started

    async def end(self, place: int, n_held: int) -> None:
        """A body ended: `n_held` bytes of it wait to be taken."""
        await self._less(self.reading.pop(place, 0) - n_held)

    async def free(self, n_held: int) -> None:
        await self._less(n_held)

    async def _less(self, n_bytes: int) -> None:
        self.total -= n_bytes
        async with self.changed:
            self.changed.notify_all()

    def _has_room(self, place: int, n_bytes: int) -> bool:
        return self.total + n_bytes <= self.max_bytes or place == min(self.reading)
