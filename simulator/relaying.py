"""The life of a node: what it heard, when it passes that on, what it says of itself."""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from protocols.ctt.packet import ID_BYTES, PACKET_BYTES
from protocols.ctt.printed_lines import Generation, NodeVersion, blu_node_beep_line, node_beep_line
from protocols.ctt.printed_reports import node_health_line
from protocols.records import Relay, RelayHealth
from simulator.chance import chance
from simulator.stations import Node, NodeGeneration

BUFFERED_BEEPS: Final = 50
"""A node sends when it holds so many. Source: CTT node guide."""

NODE_PACKET_BITS: Final = 8 * 31
"""About what a V2 beep takes on the air: 27 bytes of record, preamble and sync."""
NODE_AIRTIME_US: Final = NODE_PACKET_BITS * 40
"""At 25 kbit/s."""
_GAP_US: Final = 15_000
"""From the start of one packet of a burst to the next: inferred, to leave air between them."""

_COLLECTIONS: Final[Mapping[NodeGeneration, int]] = {1: 1, 2: 2**32, 3: 2**8}
"""How many bursts are told apart: V2 nodes count them in four bytes, V3 nodes in one."""
_VERSIONS: Final[Mapping[NodeGeneration, NodeVersion]] = {1: 2, 2: 2, 3: 3}
"""By which record a node's packets are printed; for V1 nodes there is but one."""

_FIX_AGE_S: Final = 300


class HeardBeep(msgspec.Struct, frozen=True, kw_only=True):
    """A tag's beep in a node's buffer."""

    transmission: int
    packet: bytes
    """Four id bytes, and the CRC where it was right."""
    rssi_dbm: int
    heard_us: int
    sync: int | None = None
    """Of a 2.4 GHz tag: which of its transmissions; its `packet` is the id."""


class NodePacket(msgspec.Struct, frozen=True, kw_only=True):
    """One packet that a node sends: a relayed beep with its place in the burst, or its health."""

    beep: HeardBeep | None = None
    collection: tuple[int, int, int] = (0, 0, 0)
    """(collection id, count, index)."""


class NodeLife:
    """A node with what it remembers."""

    def __init__(self, node: Node, start_unix_s: float) -> None:
        self.node = node
        self.relay_interval_us = round(node.relay_interval_s * 1e6)
        self.health_interval_us = round(node.health_interval_s * 1e6)
        self._start_unix_s = start_unix_s
        self._heard: list[HeardBeep] = []
        self._bursts = 0
        self._beeps = 0

    def first_health_us(self, seed: int) -> int:
        """Return when it first tells its health: any time within the first interval."""
        return chance(seed, "health", self.node.node_id).randrange(1, self.health_interval_us)

    @property
    def is_full(self) -> bool:
        """Whether it holds as many beeps as it waits for."""
        return len(self._heard) >= BUFFERED_BEEPS

    def buffer(self, beep: HeardBeep) -> None:
        """Remember a beep until the next burst."""
        self._heard.append(beep)
        self._beeps += 1

    def burst(self) -> Iterator[tuple[NodePacket, int]]:
        """Empty the buffer: return each packet with how long it waits, microseconds."""
        heard, self._heard = self._heard, []
        if heard:
            self._bursts += 1
        for index, beep in enumerate(heard):
            place = (self._bursts % _COLLECTIONS[self.node.generation], len(heard), index)
            yield NodePacket(beep=beep, collection=place), index * _GAP_US

    def health_packet(self) -> NodePacket:
        """Return the packet in which it tells of itself."""
        return NodePacket()

    def line(self, packet: NodePacket, generation: Generation, rssi_dbm: int, now_us: int) -> bytes:
        """Return the line that a radio prints for a packet received at `now_us`."""
        version: NodeVersion = _VERSIONS[self.node.generation]
        beep = packet.beep
        if beep is None:
            health = self._health(rssi_dbm, now_us)
            return node_health_line(generation, health, node_version=version)
        relay = Relay(
            relay_id=self.node.node_id,
            relay_rssi_dbm=rssi_dbm,
            recorded_at_unix_s=int(self.clock_unix_s(beep.heard_us)),
            collection=packet.collection,
        )
        if beep.sync is not None:
            tag_id = beep.packet.hex()
            return blu_node_beep_line(generation, tag_id, beep.rssi_dbm, relay, sync=beep.sync)
        return node_beep_line(
            generation,
            beep.packet[:ID_BYTES].hex(),
            beep.rssi_dbm,
            relay,
            crc=beep.packet[ID_BYTES] if len(beep.packet) == PACKET_BYTES else None,
            age_us=now_us - beep.heard_us,
            node_version=version,
        )

    def clock_unix_s(self, time_us: int) -> float:
        """Return what its own clock says."""
        ahead_s = self.node.clock_offset_s + self.node.clock_drift_ppm * time_us * 1e-12
        return self._start_unix_s + time_us / 1e6 + ahead_s

    def _health(self, rssi_dbm: int, now_us: int) -> RelayHealth:
        now_unix_s = int(self.clock_unix_s(now_us))
        return RelayHealth(
            relay_id=self.node.node_id,
            relay_rssi_dbm=rssi_dbm,
            sent_at_unix_s=now_unix_s,
            fix_at_unix_s=now_unix_s - _FIX_AGE_S,
            latitude=round(self.node.position.latitude, 6),
            longitude=round(self.node.position.longitude, 6),
            firmware="2.1.0",
            battery_v=4.1,
            solar_v=5.1,
            solar_ma=38,
            temperature_c=18,
            measurements={
                "solar_ma_total": now_us // 1_000_000,
                "uptime_s": now_us // 1_000_000,
                "charge_ma": 120,
                "energy_used_mah": 456,
                "sd_free_percent": 88,
                "detections": self._beeps % 2**16,
                "errors": 0,
            },
        )
