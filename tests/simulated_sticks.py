"""A short world's air at one stick: what a fake rtl_tcp serves, and what was sent in it.

The air is moved up beside the middle of what the stick samples, where its own spike stands, as a
real stick has it that is tuned below the channel.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from simulator.iq import RATE_HZ, encoded
from simulator.iq_radio import NOISE_DBM, iq_blocks
from simulator.scenario import parse_scenario
from simulator.truth import Reception, Transmission, TruthRow

OFFSET_HZ: Final = 50_000
BYTES_PER_S: Final = 2 * RATE_HZ
BLOCK_S: Final = 0.02
_SPIKE: Final = np.complex64(0.1 + 0.05j)

_SCENARIO: Final = """
shows = "many tags around a stick, from loud to hardly there"
start = 2024-03-15T09:00:00Z
duration_s = {seconds}
seed = 11

[air]
path_loss_exponent = 2.4
fading_db = 3
errors_from_level = true

[[stations]]
name = "tower"
position = {{ latitude = 48.10, longitude = 16.90 }}
antennas = [{{ name = "roof", pattern = "omni", height_m = 9 }}]
radios = [{{ name = "stick", kind = "rtl433", antenna = "roof", sensitivity_dbm = -125 }}]

[[flocks]]
name = "swifts"
count = {tags}
interval_s = [2, 3]
power_dbm = [-16, 4]
scatter_m = 1500
track = {{ kind = "random-walk", centre = {{ latitude = 48.10, longitude = 16.90 }}, \
radius_m = 3000, speed_m_s = 9, height_m = 20 }}
"""


class Sent(NamedTuple):
    """One packet on the air."""

    tag_id: str
    ends_s: float
    """Since the air began."""
    snr_db: float
    is_alone: bool
    """Nothing else was sent meanwhile."""


class Air(NamedTuple):
    """Samples, and what is in them."""

    blocks: Sequence[bytes]
    sent: Sequence[Sent]


def air(seconds: float, tags: int = 40) -> Air:
    """Return a world's air as a stick hands it over, 20 ms a block."""
    world = parse_scenario(_SCENARIO.format(seconds=seconds, tags=tags), "swifts")
    rows: list[TruthRow] = []
    turn = np.exp(2j * np.pi * OFFSET_HZ / RATE_HZ * np.arange(RATE_HZ // OFFSET_HZ))
    turns = np.tile(turn.astype(np.complex64), RATE_HZ // len(turn))
    blocks: list[bytes] = []
    size = round(BYTES_PER_S * BLOCK_S)
    for second in iq_blocks(world, form="cf32", witness=rows.append):
        samples = np.frombuffer(second, dtype=np.complex64)
        moved = samples * turns[: len(samples)] + _SPIKE
        stream = encoded(moved.astype(np.complex64), "cu8")
        blocks += [stream[at : at + size] for at in range(0, len(stream), size)]
    return Air(blocks, _sent(rows, world.start_unix_s))


def _sent(rows: Sequence[TruthRow], start_unix_s: float) -> list[Sent]:
    sent = {row.number: row for row in rows if isinstance(row, Transmission)}
    heard = sorted(
        (row for row in rows if isinstance(row, Reception) and row.outcome != "off"),
        key=lambda row: row.heard_at_unix_s,
    )
    begins = [sent[row.transmission].sent_at_unix_s for row in heard]
    ends = [row.heard_at_unix_s for row in heard]
    found = []
    for place, row in enumerate(heard):
        is_alone = (place == 0 or ends[place - 1] < begins[place]) and (
            place == len(heard) - 1 or begins[place + 1] > ends[place]
        )
        found.append(
            Sent(
                sent[row.transmission].sender,
                ends[place] - start_unix_s,
                row.rssi_dbm - NOISE_DBM,
                is_alone,
            )
        )
    return found


class Player:
    """Plays an air to each client from its beginning; notes when."""

    def __init__(self, blocks: Sequence[bytes]) -> None:
        self._blocks = blocks
        self.begun_unix_s: list[float] = []

    def __call__(self) -> Iterator[bytes]:
        """Return the blocks; a block is handed over when it has just begun."""
        self.begun_unix_s.append(time.time() - BLOCK_S)
        yield from self._blocks
