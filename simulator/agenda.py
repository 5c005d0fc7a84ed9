"""What happens when: the queue of a world, and what leaves its radios.

Time is whole microseconds since the world began. What happens at one moment happens in the order in
which it was planned.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias

import msgspec

from simulator.ears import RadioEars
from simulator.hearing import DEAF_US, Hearing
from simulator.line_noise import spoiled
from simulator.scenario import Scenario
from simulator.stations import Radio, Station
from simulator.truth import OutOfReach, Receiver, Reception, Transmission

PRINT_DELAY_US: Final = DEAF_US
"""From a packet's last bit to its line on the port: a Feather's 8 MHz processor and a USB frame."""


class Emission(msgspec.Struct, frozen=True, kw_only=True):
    """What a radio prints at one moment, garbage and terminators included.

    Of radios that print no lines (`Radio.kind`): the packet as it was taken from the air.
    """

    time_s: float
    """Since the world began."""
    station: Station
    radio: Radio
    wire: bytes
    reception: Reception
    """The truth of it; its row is not told apart from the emission."""
    device: str = ""
    """Who sent it, where the network tells that outside of the packet: a LoRa device's EUI."""


Happening: TypeAlias = Receiver | Transmission | Reception | OutOfReach | Emission
"""A row of the truth, or what a radio prints with the row of its reception."""


class Agenda:
    """The queue of one world."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.hearing = Hearing(scenario)
        self.now_us = 0
        self.transmissions = 0
        """How many were told so far."""
        self._order = 0
        self._queue: list[tuple[int, int, Callable[..., Iterable[Happening]], tuple[Any, ...]]] = []

    def schedule(
        self,
        time_us: int,
        action: Callable[..., Iterable[Happening]],
        *arguments: Any,  # noqa: ANN401  Whatever the action takes.
    ) -> None:
        """Let an action, and what it yields, happen at a time."""
        self._order += 1
        heapq.heappush(self._queue, (time_us, self._order, action, arguments))

    def number(self) -> int:
        """Return the number of the next transmission."""
        self.transmissions += 1
        return self.transmissions

    def happenings(self, end_us: float) -> Iterator[Happening]:
        """Yield what happens before the end."""
        queue = self._queue
        while queue and queue[0][0] < end_us:
            self.now_us, _, action, arguments = heapq.heappop(queue)
            yield from action(*arguments)

    def print(
        self, ears: RadioEars, line: bytes, taken: Reception, end_us: int, device: str = ""
    ) -> None:
        """Put a line on the port a moment after the packet's end."""
        wire = line
        if ears.radio.kind == "ctt":
            wire, fault = spoiled(line, self.scenario.line_noise, ears.line_dice)
            if fault is not None:
                taken = msgspec.structs.replace(taken, line_fault=fault)
        time_us = end_us + PRINT_DELAY_US
        emission = Emission(
            time_s=time_us / 1e6,
            station=ears.station,
            radio=ears.radio,
            wire=wire,
            reception=taken,
            device=device,
        )
        self.schedule(time_us, _just, emission)


def _just(emission: Emission) -> tuple[Emission]:
    return (emission,)
