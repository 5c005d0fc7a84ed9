"""A world that happens: tags beep, nodes relay, radios print, one event after another.

Pure of I/O and of any real clock. Time is whole microseconds since the world began; what happens is
drawn from the seed, a separate stream of chance for each thing, so the same scenario gives the same
bytes. Whoever plays a world (`play.py`, the recorded files) takes its happenings in order of time.

Who can hear whom is found by place first: a tag out of everybody's reach costs next to nothing.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from protocols.ctt.packet import ID_BYTES, PACKET_BYTES
from simulator.air import FREQUENCY_HZ, packet_chance
from simulator.ears import (
    Ears,
    NodeEars,
    RadioEars,
    Site,
    Taking,
    mean_levels,
    printed_level,
)
from simulator.firmware import believed_crc, passes_gate, understands_node
from simulator.hearing import DEAF_US, Hearing
from simulator.line_noise import spoiled
from simulator.positions import Position, wrapped
from simulator.printing import told_of_packet
from simulator.pulse_radio import PULSES, air_temperature_c, burst_lines, frequency_offset_hz
from simulator.recorded_names import receivers
from simulator.relaying import NODE_AIRTIME_US, NODE_PACKET_BITS, HeardBeep, NodeLife, NodePacket
from simulator.scenario import Scenario
from simulator.station_life import StationLife
from simulator.stations import Channel, Radio, Station
from simulator.sun import sun_elevation_deg
from simulator.tag_life import Beep, Moment, TagLife, Unheard, clouds_of
from simulator.truth import Outcome, OutOfReach, Receiver, Reception, Transmission

TAG_FREQUENCY_HZ: Final = FREQUENCY_HZ["434"]
NODE_FREQUENCY_HZ: Final = 433_250_000

PRINT_DELAY_US: Final = DEAF_US
"""From a packet's last bit to its line on the port: a Feather's 8 MHz processor and a USB frame."""

_NOISE_LEVEL_DB: Final = (-2.0, 2.0)
"""What noise that looks like a packet reads, about the sensitivity: mean and deviation."""


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


class World:
    """One scenario, happening. `happenings` may be taken once."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._now_us = 0
        self._order = 0
        self._queue: list[tuple[int, int, Any, tuple[Any, ...]]] = []
        self._transmissions = 0
        self._hearing = Hearing(scenario)
        seed, start_unix_s = scenario.seed, scenario.start_unix_s
        self._nodes = [NodeLife(node, start_unix_s) for node in scenario.nodes]
        self.stations = {
            station.name: StationLife(station, seed, start_unix_s) for station in scenario.stations
        }
        self._radio_ears: list[RadioEars] = []
        for station in scenario.stations:
            life = self.stations[station.name]
            site = Site(life.place_at, moves=life.moves)
            self._radio_ears += [RadioEars(life, site, radio, seed) for radio in station.radios]
        self._node_ears = [NodeEars(life, seed) for life in self._nodes]

    def happenings(self) -> Iterator[Happening]:
        """Return what happens until the scenario's end, in order of time."""
        scenario = self.scenario
        yield from receivers(scenario)
        clouds = clouds_of(scenario.weather, scenario.seed)
        for tag in scenario.tags:
            life = TagLife(
                tag,
                [each for each in (*self._radio_ears, *self._node_ears) if each.band == tag.band],
                scenario.air,
                seed=scenario.seed,
                start_unix_s=scenario.start_unix_s,
                until_s=scenario.duration_s,
                clouds=clouds,
                sun=sun_elevation_deg,
            )
            self._expect(life, life.moments())
        for node in self._nodes:
            self._schedule(node.first_health_us(scenario.seed), self._tell_health, node)
            self._schedule(node.relay_interval_us, self._relay_round, node)
        for ears in self._radio_ears:
            if ears.station.noise_packets_per_hour and ears.band == "434":
                self._expect_noise(ears)
        end_us = scenario.duration_s * 1e6
        queue = self._queue
        while queue and queue[0][0] < end_us:
            self._now_us, _, action, arguments = heapq.heappop(queue)
            yield from action(*arguments)

    def tune(self, station: str, radio: str, channel: Channel) -> None:
        """Make a radio listen to tags, to nodes or to neither from now on."""
        for ears in self._radio_ears:
            if ears.key == (station, radio):
                ears.channel = channel

    def _schedule(self, time_us: int, action: Any, *arguments: Any) -> None:  # noqa: ANN401  Whatever the action takes.
        self._order += 1
        heapq.heappush(self._queue, (time_us, self._order, action, arguments))

    def _number(self) -> int:
        self._transmissions += 1
        return self._transmissions

    # A tag beeps, radios and nodes hear it.

    def _expect(self, life: TagLife, moments: Iterator[Moment]) -> None:
        moment = next(moments, None)
        if isinstance(moment, Beep):
            self._schedule(moment.time_us, self._beep, life, moments, moment)
        elif moment is not None:
            self._schedule(moment.time_us, self._unheard, life, moments, moment)

    def _unheard(
        self, life: TagLife, moments: Iterator[Moment], moment: Unheard
    ) -> Iterator[Happening]:
        self._expect(life, moments)
        transmissions = moment.transmissions + life.passed_over
        life.passed_over = 0
        if transmissions:
            yield OutOfReach(
                sender=life.tag.tag_id,
                first_at_unix_s=self._hearing.unix_s(round(moment.since_s * 1e6)),
                last_at_unix_s=self._hearing.unix_s(moment.time_us),
                transmissions=transmissions,
            )

    def _beep(self, life: TagLife, moments: Iterator[Moment], beep: Beep) -> Sequence[Happening]:
        self._expect(life, moments)
        tag = life.tag
        levels = beep.stretch.mean_levels(
            self.scenario.air, tag.power_dbm, beep.place, beep.height_m, self._now_us / 1e6
        )
        if not levels:
            life.passed_over += 1
            return ()
        latitude, longitude = round(beep.place[0], 6), round(wrapped(beep.place[1]), 6)
        unix_s = self._hearing.unix_s(self._now_us)
        packet = tag.packet(beep.number, Position(latitude, longitude), unix_s)
        sent = Transmission(
            number=self._transmissions + 1,
            sent_at_unix_s=unix_s,
            sender_kind="tag",
            sender=tag.tag_id,
            what="beep",
            frequency_hz=FREQUENCY_HZ[tag.band],
            packet=packet.hex().upper() or None,
            band=tag.band,
            latitude=latitude,
            longitude=longitude,
        )
        happened: list[Happening] = [sent]
        end_us = self._now_us + tag.airtime_us(packet)
        is_of_concern = False
        for ears, mean_dbm in levels:
            if ears.channel != "tags":
                continue
            if tag.kind == "coded-tag":
                if isinstance(ears, RadioEars):
                    is_of_concern |= self._hear_burst(life, ears, sent, mean_dbm, happened)
                continue
            taken = self._hearing.arrive(
                ears, sent, packet, begin_us=self._now_us, end_us=end_us, mean_dbm=mean_dbm
            )
            if taken is None:
                continue
            is_of_concern = True
            if isinstance(taken, Reception):
                happened.append(taken)
            elif taken is ears.taking:
                self._schedule(end_us, self._heard_beep, ears, taken)
            else:
                happened += self._heard_beep(ears, taken)
        if not is_of_concern:
            life.passed_over += 1
            return ()
        self._transmissions += 1
        return happened

    def _heard_beep(self, ears: Ears, taking: Taking) -> Iterator[Happening]:
        taken = self._hearing.finish(ears, taking)
        if taken.outcome != "printed":
            yield taken
        elif isinstance(ears, NodeEars):
            yield from self._buffer_beep(ears.life, taken, taking.end_us)
        elif isinstance(ears, RadioEars):
            outcome, wire = told_of_packet(ears.radio, taken)
            if wire is None:
                yield msgspec.structs.replace(taken, outcome=outcome)
            else:
                device = taking.sent.sender if taking.sent.band == "lora" else ""
                self._print(ears, wire, taken, taking.end_us, device)

    def _print(
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
        self._schedule(time_us, _just, emission)

    def _buffer_beep(self, life: NodeLife, taken: Reception, end_us: int) -> Iterator[Happening]:
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
                heard_us=end_us,
            )
        )
        if life.is_full:
            self._relay_now(life)

    def _hear_burst(
        self,
        life: TagLife,
        ears: RadioEars,
        sent: Transmission,
        mean_dbm: float,
        happened: list[Happening],
    ) -> bool:
        """Let a VHF receiver hear a coded tag, pulse by pulse; tell whether it could or did."""
        begin_s = self._now_us / 1e6
        end_us = self._now_us + life.tag.airtime_us(b"")
        could = mean_dbm >= ears.sensitivity_dbm
        level_dbm = ears.dice.gauss(mean_dbm, self.scenario.air.fading_db)
        stamped = ears.stamped_unix_s(begin_s) or 0.0
        lines: list[bytes] = []
        if ears.is_on(begin_s):
            lines = burst_lines(
                life.tag,
                ears.port,
                stamped,
                level_dbm=level_dbm,
                sensitivity_dbm=ears.sensitivity_dbm + ears.rise_db(begin_s, end_us / 1e6),
                offset_hz=frequency_offset_hz(
                    life.tag, air_temperature_c(sent.sent_at_unix_s, ears.site.longitude)
                ),
                dice=ears.dice,
            )
        if lines:
            taken = Reception(
                transmission=sent.number,
                heard_at_unix_s=sent.sent_at_unix_s,
                station=ears.station.name,
                receiver=ears.radio.name,
                rssi_dbm=printed_level(level_dbm),
                received=None,
                outcome="printed",
                could_be_heard=could,
                stamped_unix_s=stamped,
                pulses=min(PULSES, len(lines)),
            )
            self._print(ears, b"".join(lines), taken, end_us)
        elif could:
            outcome: Outcome = "too-weak" if ears.is_on(begin_s) else "off"
            lost = self._hearing.lost(
                ears, sent, outcome, level_dbm, self._now_us, could_be_heard=True
            )
            happened.append(msgspec.structs.replace(lost, pulses=0))
        return could or bool(lines)

    # Noise looks like a packet.

    def _expect_noise(self, ears: RadioEars) -> None:
        gap_s = ears.noise_dice.expovariate(ears.station.noise_packets_per_hour / 3600)
        self._schedule(self._now_us + round(gap_s * 1e6), self._noise, ears)

    def _noise(self, ears: RadioEars) -> Iterator[Happening]:
        self._expect_noise(ears)
        dice = ears.noise_dice
        packet = dice.randbytes(PACKET_BYTES)
        level_dbm = dice.gauss(ears.sensitivity_dbm + _NOISE_LEVEL_DB[0], _NOISE_LEVEL_DB[1])
        is_deaf = ears.taking is not None or self._now_us < ears.busy_until_us
        if is_deaf or ears.channel != "tags" or not ears.is_on(self._now_us / 1e6):
            return
        taken = Reception(
            transmission=0,
            heard_at_unix_s=self._hearing.unix_s(self._now_us),
            station=ears.station.name,
            receiver=ears.radio.name,
            rssi_dbm=printed_level(level_dbm),
            received=packet.hex().upper(),
            outcome="printed",
            could_be_heard=False,
            stamped_unix_s=ears.stamped_unix_s(self._now_us / 1e6),
        )
        _, wire = told_of_packet(ears.radio, taken)
        if wire is None:
            return
        sent = Transmission(
            number=self._number(),
            sent_at_unix_s=taken.heard_at_unix_s,
            sender_kind="noise",
            sender="",
            what="noise",
            frequency_hz=TAG_FREQUENCY_HZ,
            packet=None,
        )
        yield sent
        taken = msgspec.structs.replace(taken, transmission=sent.number)
        self._print(ears, wire, taken, self._now_us)

    # A node sends, the radios that listen to nodes hear it.

    def _relay_round(self, life: NodeLife) -> Iterable[Happening]:
        self._relay_now(life)
        self._schedule(self._now_us + life.relay_interval_us, self._relay_round, life)
        return ()

    def _relay_now(self, life: NodeLife) -> None:
        for packet, wait_us in life.burst():
            self._schedule(self._now_us + wait_us, self._node_sends, life, packet)

    def _tell_health(self, life: NodeLife) -> Iterable[Happening]:
        self._schedule(self._now_us + life.health_interval_us, self._tell_health, life)
        return self._node_sends(life, life.health_packet())

    def _node_sends(self, life: NodeLife, packet: NodePacket) -> Iterator[Happening]:
        node = life.node
        beep = packet.beep
        sent = Transmission(
            number=self._number(),
            sent_at_unix_s=self._hearing.unix_s(self._now_us),
            sender_kind="node",
            sender=node.node_id,
            what="relayed-beep" if beep else "node-health",
            frequency_hz=NODE_FREQUENCY_HZ,
            packet=beep.packet.hex().upper() if beep else None,
            relays=beep.transmission if beep else None,
            latitude=node.position.latitude,
            longitude=node.position.longitude,
        )
        yield sent
        end_us = self._now_us + NODE_AIRTIME_US
        place = (node.position.latitude, node.position.longitude)
        listening = [
            ears
            for ears in self._radio_ears
            if ears.channel == "nodes" and ears.radio.kind == "ctt"
        ]
        levels = mean_levels(
            listening,
            self.scenario.air,
            node.power_dbm,
            place=place,
            height_m=None,
            time_s=self._now_us / 1e6,
        )
        for ears, mean_dbm in levels:
            if not isinstance(ears, RadioEars):
                continue
            taken = self._hearing.arrive(
                ears, sent, b"", begin_us=self._now_us, end_us=end_us, mean_dbm=mean_dbm
            )
            if isinstance(taken, Reception):
                yield taken
            elif taken is not None and taken is ears.taking:
                self._schedule(end_us, self._heard_node, ears, taken, life, packet)
            elif taken is not None:
                yield from self._heard_node(ears, taken, life, packet)

    def _heard_node(
        self, ears: RadioEars, taking: Taking, life: NodeLife, packet: NodePacket
    ) -> Iterator[Happening]:
        is_spoilt = taking.hit_us is not None
        taken = self._hearing.finish(ears, taking)
        if taken.outcome != "printed":
            yield taken
            return
        taken = msgspec.structs.replace(taken, received=taking.sent.packet, wrong_bits=0)
        air = self.scenario.air
        error_rate = air.packet_error_rate(NODE_PACKET_BITS)
        if air.errors_from_level:
            above_db = taking.level_dbm - ears.sensitivity_dbm
            error_rate = 1 - (1 - error_rate) * packet_chance(above_db, NODE_PACKET_BITS)
        if is_spoilt or (error_rate and ears.dice.random() < error_rate):
            yield msgspec.structs.replace(taken, outcome="damaged", received=None, air_faults=())
        elif not understands_node(ears.radio.generation, life.node.generation):
            yield msgspec.structs.replace(taken, outcome="not-understood")
        else:
            line = life.line(packet, ears.radio.generation, taken.rssi_dbm, taking.end_us)
            self._print(ears, line, taken, taking.end_us)


def _just(emission: Emission) -> tuple[Emission]:
    return (emission,)
