"""Playing a world: each happening at its time, lines to the outlets, the truth to a witness."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias

import msgspec

from simulator.truth import TruthRow
from simulator.world import Emission, Happening, World

Witness: TypeAlias = Callable[[TruthRow], None]

_LATE_IN_A_ROW: Final = 64
"""Happenings told without a pause when play is behind: about 2 ms, then others get their turn."""
_WORTH_SLEEPING_S: Final = 0.0005


class Outlet(Protocol):
    """Where a world's radios print: serial ports, a broker, files."""

    def send(self, emission: Emission) -> bool:
        """Take what a radio prints at this moment; never waits. False where nobody took it."""
        ...


def unwatched(_: TruthRow) -> None:
    """Witness nothing."""


async def play(
    world: World, outlets: Sequence[Outlet], witness: Witness = unwatched, *, speed: float = 1.0
) -> None:
    """Play a world in real time, `speed` times as fast, until its duration is over."""
    loop = asyncio.get_running_loop()
    begun_s = loop.time()
    in_a_row = 0
    for happening in world.happenings():
        if isinstance(happening, Emission):
            ahead_s = begun_s + happening.time_s / speed - loop.time()
            in_a_row = 0 if ahead_s > _WORTH_SLEEPING_S else in_a_row + 1
            if in_a_row % _LATE_IN_A_ROW == 0:
                await asyncio.sleep(max(0.0, ahead_s))
        _tell(happening, outlets, witness)
    await asyncio.sleep(max(0.0, begun_s + world.scenario.duration_s / speed - loop.time()))


def play_at_once(world: World, outlets: Sequence[Outlet], witness: Witness = unwatched) -> None:
    """Play a world as fast as it can be."""
    for happening in world.happenings():
        _tell(happening, outlets, witness)


def _tell(happening: Happening, outlets: Sequence[Outlet], witness: Witness) -> None:
    if not isinstance(happening, Emission):
        witness(happening)
        return
    taken = [outlet.send(happening) for outlet in outlets]
    if any(taken):
        witness(happening.reception)
    else:
        witness(msgspec.structs.replace(happening.reception, outcome="not-delivered"))
