"""A world that happens: tags beep, nodes relay, radios print, one event after another.

Pure of I/O and of any real clock. Time is whole microseconds since the world began; what happens is
drawn from the seed, a separate stream of chance for each thing, so the same scenario gives the same
bytes. Whoever plays a world (`play.py`, the recorded files) takes its happenings in order of time.

Who can hear whom is found by place first: a tag out of everybody's reach costs next to nothing.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from simulator.agenda import PRINT_DELAY_US, Agenda, Emission, Happening
from simulator.air import FREQUENCY_HZ
from simulator.ears import Ears, NodeEars, RadioEars, Site, Taking, printed_level
from simulator.node_traffic import NODE_FREQUENCY_HZ, NodeTraffic
from simulator.noise_traffic import NoiseTraffic
from simulator.positions import Position, wrapped
from simulator.printing import told_of_packet
from simulator.pulse_radio import PULSES, air_temperature_c, burst_lines, frequency_offset_hz
from simulator.recorded_names import receivers
from simulator.relaying import NodeLife
from simulator.scenario import Scenario
from simulator.station_life import StationLife
from simulator.stations import NODE_BANDS, Channel
from simulator.sun import sun_elevation_deg
from simulator.tag_life import Beep, Moment, TagLife, Unheard, clouds_of
from simulator.truth import Outcome, OutOfReach, Reception, Transmission

__all__ = [
    "NODE_FREQUENCY_HZ",
    "PRINT_DELAY_US",
    "TAG_FREQUENCY_HZ",
    "Emission",
    "Happening",
    "World",
]

TAG_FREQUENCY_HZ: Final = FREQUENCY_HZ["434"]


class World:
    """One scenario, happening. `happenings` may be taken once."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._agenda = Agenda(scenario)
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
        self._node_ears = [
            NodeEars(life, seed, band)
            for life in self._nodes
            for band in NODE_BANDS[life.node.generation]
        ]
        self._node_traffic = NodeTraffic(self._agenda, self._radio_ears)
        self._noise_traffic = NoiseTraffic(self._agenda)

    def happenings(self) -> Iterator[Happening]:
        """Return what happens until the scenario's end, in order of time."""
        scenario = self._agenda.scenario
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
            self._node_traffic.begin(node)
        for ears in self._radio_ears:
            if ears.station.noise_packets_per_hour and ears.band == "434":
                self._noise_traffic.expect(ears)
        yield from self._agenda.happenings(scenario.duration_s * 1e6)

    def tune(self, station: str, radio: str, channel: Channel) -> None:
        """Make a radio listen to tags, to nodes or to neither from now on."""
        for ears in self._radio_ears:
            if ears.key == (station, radio):
                ears.channel = channel

    def _expect(self, life: TagLife, moments: Iterator[Moment]) -> None:
        moment = next(moments, None)
        if isinstance(moment, Beep):
            self._agenda.schedule(moment.time_us, self._beep, life, moments, moment)
        elif moment is not None:
            self._agenda.schedule(moment.time_us, self._unheard, life, moments, moment)

    def _unheard(
        self, life: TagLife, moments: Iterator[Moment], moment: Unheard
    ) -> Iterator[Happening]:
        self._expect(life, moments)
        transmissions = moment.transmissions + life.passed_over
        life.passed_over = 0
        if transmissions:
            yield OutOfReach(
                sender=life.tag.tag_id,
                first_at_unix_s=self._agenda.hearing.unix_s(round(moment.since_s * 1e6)),
                last_at_unix_s=self._agenda.hearing.unix_s(moment.time_us),
                transmissions=transmissions,
            )

    def _beep(self, life: TagLife, moments: Iterator[Moment], beep: Beep) -> Sequence[Happening]:
        self._expect(life, moments)
        tag = life.tag
        levels = beep.stretch.mean_levels(
            self._agenda.scenario.air,
            tag.power_dbm,
            beep.place,
            beep.height_m,
            self._agenda.now_us / 1e6,
        )
        if not levels:
            life.passed_over += 1
            return ()
        latitude, longitude = round(beep.place[0], 6), round(wrapped(beep.place[1]), 6)
        unix_s = self._agenda.hearing.unix_s(self._agenda.now_us)
        packet = tag.packet(beep.number, Position(latitude, longitude), unix_s)
        sent = Transmission(
            number=self._agenda.transmissions + 1,
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
        end_us = self._agenda.now_us + tag.airtime_us(packet)
        is_of_concern = False
        for ears, mean_dbm in levels:
            if ears.channel != "tags":
                continue
            if tag.kind == "coded-tag":
                if isinstance(ears, RadioEars):
                    is_of_concern |= self._hear_burst(life, ears, sent, mean_dbm, happened)
                continue
            taken = self._agenda.hearing.arrive(
                ears, sent, packet, begin_us=self._agenda.now_us, end_us=end_us, mean_dbm=mean_dbm
            )
            if taken is None:
                continue
            is_of_concern = True
            if isinstance(taken, Reception):
                happened.append(taken)
            elif taken is ears.taking:
                self._agenda.schedule(end_us, self._heard_beep, ears, taken)
            else:
                happened += self._heard_beep(ears, taken)
        if not is_of_concern:
            life.passed_over += 1
            return ()
        self._agenda.transmissions += 1
        return happened

    def _heard_beep(self, ears: Ears, taking: Taking) -> Iterator[Happening]:
        taken = self._agenda.hearing.finish(ears, taking)
        if taken.outcome != "printed":
            yield taken
        elif isinstance(ears, NodeEars):
            buffer = self._node_traffic.buffer_beep
            if ears.band == "2g4":
                buffer = self._node_traffic.buffer_blu
            yield from buffer(ears.life, taken, taking.end_us)
        elif isinstance(ears, RadioEars):
            outcome, wire = told_of_packet(ears.radio, taken)
            if wire is None:
                yield msgspec.structs.replace(taken, outcome=outcome)
            else:
                device = taking.sent.sender if taking.sent.band == "lora" else ""
                self._agenda.print(ears, wire, taken, taking.end_us, device)

    def _hear_burst(
        self,
        life: TagLife,
        ears: RadioEars,
        sent: Transmission,
        mean_dbm: float,
        happened: list[Happening],
    ) -> bool:
        """Let a VHF receiver hear a coded tag, pulse by pulse; tell whether it could or did."""
        begin_s = self._agenda.now_us / 1e6
        end_us = self._agenda.now_us + life.tag.airtime_us(b"")
        could = mean_dbm >= ears.sensitivity_dbm
        level_dbm = ears.dice.gauss(mean_dbm, self._agenda.scenario.air.fading_db)
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
            self._agenda.print(ears, b"".join(lines), taken, end_us)
        elif could:
            outcome: Outcome = "too-weak" if ears.is_on(begin_s) else "off"
            lost = self._agenda.hearing.lost(
                ears, sent, outcome, level_dbm, self._agenda.now_us, could_be_heard=True
            )
            happened.append(msgspec.structs.replace(lost, pulses=0))
        return could or bool(lines)
