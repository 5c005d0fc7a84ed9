"""A world that happens: tags beep, nodes relay, radios print, one event after another.

Pure of I/O and of any real clock. Time is whole microseconds since the world began; what happens is
drawn from the seed, a separate stream of chance for each thing, so the same scenario gives the same
bytes. Whoever plays a world (`play.py`, `recorded_files.py`) takes its happenings in order of time.

Not modelled yet: moving animals, the sun, antenna patterns, collisions, noise floors, clock drift.
"""

import functools
import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

import msgspec

from protocols.ctt.packet import ID_BYTES, PACKET_BYTES
from simulator.air import wrong_bits
from simulator.ears import Ears, NodeEars, RadioEars
from simulator.firmware import believed_crc, passes_gate, printed_beep, understands_node
from simulator.line_noise import spoiled
from simulator.positions import Position, distance_m
from simulator.relaying import NODE_AIRTIME_US, NODE_PACKET_BITS, HeardBeep, NodeLife, NodePacket
from simulator.scenario import Scenario
from simulator.stations import Channel, Radio, Station
from simulator.tags import AIRTIME_US, Tag
from simulator.truth import Reception, Transmission

TAG_FREQUENCY_HZ: Final = 434_000_000
NODE_FREQUENCY_HZ: Final = 433_250_000

PRINT_DELAY_US: Final = 1_500
"""From a packet's last bit to its line on the port: a Feather's 8 MHz processor and a USB frame."""


class Emission(msgspec.Struct, frozen=True, kw_only=True):
    """What a radio prints at one moment, garbage and terminators included."""

    time_s: float
    """Since the world began."""
    station: Station
    radio: Radio
    wire: bytes
    reception: Reception
    """The truth of it; its row is not told apart from the emission."""


Happening: TypeAlias = Transmission | Reception | Emission
"""A transmission, a reception that nobody prints, or what a radio prints with its reception."""

_Action: TypeAlias = Callable[[], Iterable[Happening]]


class World:
    """One scenario, happening. `happenings` may be taken once."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._now_us = 0
        self._order = 0
        self._queue: list[tuple[int, int, _Action]] = []
        self._transmissions = 0
        self._nodes = [NodeLife(node, scenario.start_unix_s) for node in scenario.nodes]
        seed = scenario.seed
        self._radio_ears = [
            RadioEars(station, radio, seed)
            for station in scenario.stations
            for radio in station.radios
        ]
        self._node_ears = [NodeEars(life, seed) for life in self._nodes]
        self._levels: dict[tuple[str, tuple[str, str]], float] = {}

    def happenings(self) -> Iterator[Happening]:
        """Return what happens until the scenario's end, in order of time."""
        for tag in self.scenario.tags:
            times_us = tag.beep_times_us(self.scenario.seed)
            self._schedule(next(times_us), functools.partial(self._beep, tag, times_us))
        for life in self._nodes:
            self._schedule(life.first_health_us(self.scenario.seed), self._health_of(life))
            self._schedule(life.relay_interval_us, self._relay_round_of(life))
        end_us = self.scenario.duration_s * 1e6
        while self._queue and self._queue[0][0] < end_us:
            self._now_us, _, action = heapq.heappop(self._queue)
            yield from action()

    def tune(self, station: str, radio: str, channel: Channel) -> None:
        """Make a radio listen to tags, to nodes or to neither from now on."""
        for ears in self._radio_ears:
            if ears.key == (station, radio):
                ears.channel = channel

    def _schedule(self, time_us: int, action: _Action) -> None:
        self._order += 1
        heapq.heappush(self._queue, (time_us, self._order, action))

    def _unix_s(self, time_us: int) -> float:
        return round(self.scenario.start_unix_s + time_us / 1e6, 6)

    def _level_dbm(self, sender: str, place: Position, power_dbm: float, ears: Ears) -> int:
        mean = self._levels.get((sender, ears.key))
        if mean is None:
            apart_m = distance_m(place, ears.position)
            mean = self.scenario.air.mean_level_dbm(power_dbm, apart_m) + ears.gain_dbi
            self._levels[sender, ears.key] = mean
        return ears.level_dbm(mean, self.scenario.air.fading_db)

    def _number(self) -> int:
        self._transmissions += 1
        return self._transmissions

    # A tag beeps, radios and nodes hear it.

    def _beep(self, tag: Tag, times_us: Iterator[int]) -> Iterator[Happening]:
        self._schedule(next(times_us), functools.partial(self._beep, tag, times_us))
        packet = tag.packet()
        sent = Transmission(
            number=self._number(),
            sent_at_unix_s=self._unix_s(self._now_us),
            sender_kind="tag",
            sender=tag.tag_id,
            what="beep",
            frequency_hz=TAG_FREQUENCY_HZ,
            packet=packet.hex().upper(),
        )
        yield sent
        for ears in self._radio_ears:
            if ears.channel == "tags":
                taken = self._taken(tag, packet, sent, ears)
                if taken is not None:
                    yield from self._print_beep(ears, taken)
        for node_ears in self._node_ears:
            taken = self._taken(tag, packet, sent, node_ears)
            if taken is not None:
                yield from self._buffer_beep(node_ears.life, taken)

    def _taken(self, tag: Tag, packet: bytes, sent: Transmission, ears: Ears) -> Reception | None:
        """Return what a receiver takes of a beep; None where it is too weak."""
        level_dbm = self._level_dbm(tag.tag_id, tag.position, tag.power_dbm, ears)
        if level_dbm < ears.sensitivity_dbm:
            return None
        received, faults = self.scenario.air.corrupt(packet, ears.dice)
        wrong = wrong_bits(packet, received) if faults else 0
        if len(received) < PACKET_BYTES:
            received += ears.dice.randbytes(PACKET_BYTES - len(received))
        return Reception(
            transmission=sent.number,
            heard_at_unix_s=self._unix_s(self._now_us + AIRTIME_US),
            station=ears.key[0] or None,
            receiver=ears.key[1],
            rssi_dbm=level_dbm,
            received=received.hex().upper(),
            wrong_bits=wrong,
            air_faults=faults,
            outcome="printed",
        )

    def _print_beep(self, ears: RadioEars, taken: Reception) -> Iterator[Happening]:
        line = printed_beep(
            ears.radio.generation, bytes.fromhex(taken.received or ""), taken.rssi_dbm
        )
        if line is None:
            yield msgspec.structs.replace(taken, outcome="gated")
        else:
            self._print(ears, line, taken, AIRTIME_US)

    def _print(self, ears: RadioEars, line: bytes, taken: Reception, airtime_us: int) -> None:
        """Put a line on the port a moment after the packet's end."""
        wire, fault = spoiled(line, self.scenario.line_noise, ears.line_dice)
        if fault is not None:
            taken = msgspec.structs.replace(taken, line_fault=fault)
        time_us = self._now_us + airtime_us + PRINT_DELAY_US
        emission = Emission(
            time_s=time_us / 1e6, station=ears.station, radio=ears.radio, wire=wire, reception=taken
        )
        self._schedule(time_us, lambda: (emission,))

    def _buffer_beep(self, life: NodeLife, taken: Reception) -> Iterator[Happening]:
        packet = bytes.fromhex(taken.received or "")
        if not passes_gate(packet[:ID_BYTES]):
            yield msgspec.structs.replace(taken, outcome="gated")
            return
        yield msgspec.structs.replace(taken, outcome="buffered")
        crc = believed_crc(packet)
        life.buffer(
            HeardBeep(
                transmission=taken.transmission,
                packet=packet if crc is not None else packet[:ID_BYTES],
                rssi_dbm=taken.rssi_dbm,
                heard_us=self._now_us + AIRTIME_US,
            )
        )
        if life.is_full:
            self._relay_now(life)

    # A node sends, the radios that listen to nodes hear it.

    def _relay_round_of(self, life: NodeLife) -> _Action:
        def relay_round() -> Iterable[Happening]:
            self._relay_now(life)
            self._schedule(self._now_us + life.relay_interval_us, relay_round)
            return ()

        return relay_round

    def _relay_now(self, life: NodeLife) -> None:
        for packet, wait_us in life.burst():
            self._schedule(
                self._now_us + wait_us, functools.partial(self._node_sends, life, packet)
            )

    def _health_of(self, life: NodeLife) -> _Action:
        def tell_health() -> Iterable[Happening]:
            self._schedule(self._now_us + life.health_interval_us, tell_health)
            return self._node_sends(life, life.health_packet())

        return tell_health

    def _node_sends(self, life: NodeLife, packet: NodePacket) -> Iterator[Happening]:
        node = life.node
        beep = packet.beep
        sent = Transmission(
            number=self._number(),
            sent_at_unix_s=self._unix_s(self._now_us),
            sender_kind="node",
            sender=node.node_id,
            what="relayed-beep" if beep else "node-health",
            frequency_hz=NODE_FREQUENCY_HZ,
            packet=beep.packet.hex().upper() if beep else None,
            relays=beep.transmission if beep else None,
        )
        yield sent
        for ears in self._radio_ears:
            if ears.channel != "nodes":
                continue
            level_dbm = self._level_dbm(node.node_id, node.position, node.power_dbm, ears)
            if level_dbm >= ears.sensitivity_dbm:
                yield from self._print_node_packet(ears, life, packet, sent, level_dbm)

    def _print_node_packet(
        self,
        ears: RadioEars,
        life: NodeLife,
        packet: NodePacket,
        sent: Transmission,
        level_dbm: int,
    ) -> Iterator[Happening]:
        taken = Reception(
            transmission=sent.number,
            heard_at_unix_s=self._unix_s(self._now_us + NODE_AIRTIME_US),
            station=ears.station.name,
            receiver=ears.radio.name,
            rssi_dbm=level_dbm,
            received=sent.packet,
            outcome="printed",
        )
        error_rate = self.scenario.air.packet_error_rate(NODE_PACKET_BITS)
        if error_rate and ears.dice.random() < error_rate:
            yield msgspec.structs.replace(taken, outcome="damaged", received=None)
        elif not understands_node(ears.radio.generation, life.node.generation):
            yield msgspec.structs.replace(taken, outcome="not-understood")
        else:
            line = life.line(
                packet, ears.radio.generation, level_dbm, self._now_us + NODE_AIRTIME_US
            )
            self._print(ears, line, taken, NODE_AIRTIME_US)
