"""What nodes do with what they heard: they keep it, relay it in bursts, and tell of themselves."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from protocols.ctt.blu import BEACON, Beacon
from protocols.ctt.packet import ID_BYTES
from protocols.layouts import parse
from simulator.agenda import Agenda, Happening
from simulator.air import packet_chance
from simulator.ears import RadioEars, Taking, mean_levels
from simulator.firmware import believed_crc, passes_gate, understands_node
from simulator.relaying import NODE_AIRTIME_US, NODE_PACKET_BITS, HeardBeep, NodeLife, NodePacket
from simulator.truth import Reception, Transmission

NODE_FREQUENCY_HZ: Final = 433_250_000


class NodeTraffic:
    """The nodes of a world, and the radios that may hear them."""

    def __init__(self, agenda: Agenda, ears: Sequence[RadioEars]) -> None:
        self._agenda = agenda
        self._ears = ears

    def begin(self, life: NodeLife) -> None:
        """Let a node tell of itself and relay, from now on."""
        self._agenda.schedule(
            life.first_health_us(self._agenda.scenario.seed), self._tell_health, life
        )
        self._agenda.schedule(life.relay_interval_us, self._relay_round, life)

    def buffer_beep(self, life: NodeLife, taken: Reception, end_us: int) -> Iterator[Happening]:
        """Let a node keep a beep that it heard, or not."""
        packet = bytes.fromhex(taken.received or "")
        if not passes_gate(packet[:ID_BYTES]):
            yield msgspec.structs.replace(taken, outcome="gated")
            return
        yield msgspec.structs.replace(taken, outcome="buffered")
        crc = believed_crc(packet)
        beep = HeardBeep(
            transmission=taken.transmission,
            packet=packet if crc is not None else packet[:ID_BYTES],
            rssi_dbm=taken.rssi_dbm,
            heard_us=end_us,
        )
        self._buffer(life, beep)

    def buffer_blu(self, life: NodeLife, taken: Reception, end_us: int) -> Iterator[Happening]:
        """Let a V3 node keep a 2.4 GHz tag's beacon, unless Bluetooth's checksum refuses it."""
        if taken.wrong_bits or taken.received is None:
            yield msgspec.structs.replace(taken, outcome="damaged")
            return
        yield msgspec.structs.replace(taken, outcome="buffered")
        beacon: Beacon = parse(BEACON, bytes.fromhex(taken.received))
        beep = HeardBeep(
            transmission=taken.transmission,
            packet=beacon.tag_id,
            rssi_dbm=taken.rssi_dbm,
            heard_us=end_us,
            sync=beacon.sync,
        )
        self._buffer(life, beep)

    def _buffer(self, life: NodeLife, beep: HeardBeep) -> None:
        life.buffer(beep)
        if life.is_full:
            self._relay_now(life)

    def _relay_round(self, life: NodeLife) -> Iterable[Happening]:
        self._relay_now(life)
        self._agenda.schedule(self._agenda.now_us + life.relay_interval_us, self._relay_round, life)
        return ()

    def _relay_now(self, life: NodeLife) -> None:
        for packet, wait_us in life.burst():
            self._agenda.schedule(self._agenda.now_us + wait_us, self._node_sends, life, packet)

    def _tell_health(self, life: NodeLife) -> Iterable[Happening]:
        self._agenda.schedule(
            self._agenda.now_us + life.health_interval_us, self._tell_health, life
        )
        return self._node_sends(life, life.health_packet())

    def _node_sends(self, life: NodeLife, packet: NodePacket) -> Iterator[Happening]:
        node = life.node
        beep = packet.beep
        sent = Transmission(
            number=self._agenda.number(),
            sent_at_unix_s=self._agenda.hearing.unix_s(self._agenda.now_us),
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
        end_us = self._agenda.now_us + NODE_AIRTIME_US
        place = (node.position.latitude, node.position.longitude)
        listening = [
            ears for ears in self._ears if ears.channel == "nodes" and ears.radio.kind == "ctt"
        ]
        levels = mean_levels(
            listening,
            self._agenda.scenario.air,
            node.power_dbm,
            place=place,
            height_m=None,
            time_s=self._agenda.now_us / 1e6,
        )
        for ears, mean_dbm in levels:
            if not isinstance(ears, RadioEars):
                continue
            taken = self._agenda.hearing.arrive(
                ears, sent, b"", begin_us=self._agenda.now_us, end_us=end_us, mean_dbm=mean_dbm
            )
            if isinstance(taken, Reception):
                yield taken
            elif taken is not None and taken is ears.taking:
                self._agenda.schedule(end_us, self._heard_node, ears, taken, life, packet)
            elif taken is not None:
                yield from self._heard_node(ears, taken, life, packet)

    def _heard_node(
        self, ears: RadioEars, taking: Taking, life: NodeLife, packet: NodePacket
    ) -> Iterator[Happening]:
        is_spoilt = taking.hit_us is not None
        taken = self._agenda.hearing.finish(ears, taking)
        if taken.outcome != "printed":
            yield taken
            return
        taken = msgspec.structs.replace(taken, received=taking.sent.packet, wrong_bits=0)
        air = self._agenda.scenario.air
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
            self._agenda.print(ears, line, taken, taking.end_us)
