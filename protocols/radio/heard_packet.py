"""A CTT packet as a software radio heard it, and the detection that is made of it."""

import math
from typing import Final

import msgspec

from protocols.ctt.extended import PayloadCodecs, read_air_packet
from protocols.ctt.packet import ID_BYTES, id_legal
from protocols.ctt.readings import PROTOCOL_434
from protocols.records import Detection, Integrity

NOISE_BANDWIDTH_HZ: Final = 250_000
"""In which all noise is told, whatever the stick's sample rate: numbers of two sticks compare."""

LEVELS_HEARD: Final = ("rssi_dbm", "snr_db", "noise_dbm", "frequency_offset_hz")
"""Fields of a detection that only samples tell."""
MEASURED: Final = ("score", "rssi_db", "noise_db")
"""The same among its measurements."""


class HeardPacket(msgspec.Struct, frozen=True, kw_only=True):
    """One packet. Levels are powers against a carrier of amplitude 1, full scale."""

    first_sample: float
    """Where its preamble begins, three bytes or two as heard, counted from the first sample fed."""
    end_sample: float
    """Where its last bit ends."""
    body: bytes
    """What follows the sync word: id and CRC, and of a long packet the rest. The id alone where
    nothing vouches for the CRC."""
    tag_id: str
    score: float
    """0 to 1: the packet's part of what was heard; see `ctt_ids`."""
    integrity: Integrity
    """`verified`: score and CRC together leave less than one such id an hour in noise. `unverified`
    (which the station reads as doubtful), of an expected id: a score below that, or bits in which
    another packet is as strong."""
    frequency_offset_hz: float
    """Of the carrier, from the channel's middle."""
    bit_rate_error: float
    """0.005 is half a percent fast."""
    signal_dbfs: float
    noise_dbfs: float
    """In 250 kHz, by the noise's density in the channel."""

    @property
    def snr_db(self) -> float:
        """The packet's power against the noise in 250 kHz: 10 dB less than in a bit's bandwidth."""
        return self.signal_dbfs - self.noise_dbfs


def decibels(power: float) -> float:
    """Return a power ratio in dB; -300 for none."""
    return 10 * math.log10(max(power, 1e-30))


def detection_of(
    packet: HeardPacket,
    *,
    antenna: str | None,
    full_scale_dbm: float | None,
    codecs: PayloadCodecs | None = None,
) -> Detection:
    """Return the record of a packet.

    With `full_scale_dbm`, the level at the antenna that drives the stick to full scale at its gain,
    levels are in dBm; without, they are the measurements `rssi_db` and `noise_db` alone, as of
    `rtl433`. The measurement `score` tells how sure the packet is.
    """
    air = read_air_packet(packet.body)
    told = codecs.measurements(air) if codecs is not None and air is not None else None
    signal_dbm, noise_dbm = (
        None if full_scale_dbm is None else round(level + full_scale_dbm, 1)
        for level in (packet.signal_dbfs, packet.noise_dbfs)
    )
    measured = (
        round(packet.score, 3),
        round(packet.signal_dbfs, 1),
        round(packet.noise_dbfs, 1),
    )
    return Detection(
        protocol=PROTOCOL_434,
        tag_id=packet.tag_id,
        integrity=packet.integrity,
        id_legal=id_legal(packet.body[:ID_BYTES]),
        antenna=antenna,
        rssi_dbm=signal_dbm,
        snr_db=round(packet.snr_db, 1),
        noise_dbm=noise_dbm,
        frequency_offset_hz=round(packet.frequency_offset_hz, 1),
        measurements={**dict(zip(MEASURED, measured, strict=True)), **(told or {})},
        payload=air.payload if air is not None else None,
        raw=packet.body,
    )
