"""How well confidence tells birds from noise, on simulated truth.

A day of one station: tags of every kind come and go, radios of three generations hear them through
bit errors, and noise makes packets of its own at rates from a quiet to an awful site. Beside the
project's verdict stand the two rules in use: "CRC only" and "id seen at least twice".

    python tests/benchmarks/confidence.py [--hours 12] [--seed 1]
"""

import argparse
import heapq
import random
from collections.abc import Iterator
from typing import NamedTuple

from protocols.ctt.packet import build_packet, id_from_number, identify, split_packet
from protocols.records import Detection
from receiver.confidence import Confidence, of_detection
from receiver.runs import RunTracker

NOISE_PACKETS_PER_S = {"quiet": 0.001, "marsh": 0.02, "village": 0.3, "city": 3.0, "awful": 20.0}
"""What an ungated radio takes for packets; the gate of later firmware passes one of 4,096."""

S = 10**9


class Heard(NamedTuple):
    """One reception: when, what the radio said, and whether that id was really sent."""

    at_ns: int
    place: str
    detection: Detection
    is_true: bool


class Radio(NamedTuple):
    """A radio generation: whether it tells the CRC, and whether it holds back illegal ids."""

    place: str
    tells_crc: bool
    is_gated: bool


RADIOS = (
    Radio("adapter-v1", tells_crc=False, is_gated=False),
    Radio("adapter-v2", tells_crc=True, is_gated=False),
    Radio("station-v4", tells_crc=True, is_gated=True),
)


def tags(dice: random.Random) -> list[tuple[str, bool, float]]:
    """Return (id, sends a CRC, interval in s); assigned ids have no bit 7."""
    ids: list[str] = []
    while len(ids) < 24:
        tag_id = id_from_number(dice.getrandbits(20))
        if not int(tag_id, 16) & 0x80808080:
            ids.append(tag_id)
    return [
        (tag_id, place % 4 != 3, 5.0 if place % 4 < 2 else dice.uniform(10, 43))
        for place, tag_id in enumerate(ids)
    ]


def receptions(
    tag: tuple[str, bool, float], radio: Radio, hours: float, dice: random.Random
) -> Iterator[Heard]:
    """Yield what one radio hears of one tag: visits, fading, losses, bit errors."""
    tag_id, sends_crc, interval_s = tag
    packet = build_packet(tag_id)
    at_s = dice.uniform(0, hours * 3600)
    # Every third tag only passes by.
    longest_s = 60 if dice.random() < 1 / 3 else 4 * 3600
    ends_s = at_s + dice.uniform(10, longest_s)
    loss = dice.uniform(0.02, 0.6)
    bit_error_rate = dice.choice((0.0, 1e-4, 1e-3, 4e-3))
    bit7_rate = dice.choice((0.0, 0.0, 0.005))
    while at_s < min(ends_s, hours * 3600):
        if dice.random() > loss:
            yield from reported(
                mutilated(packet, bit_error_rate, bit7_rate, dice),
                radio,
                round(at_s * S),
                sent_id=tag_id,
                has_crc=sends_crc,
            )
        at_s += interval_s + dice.uniform(-0.02, 0.02)


def mutilated(packet: bytes, bit_error_rate: float, bit7_rate: float, dice: random.Random) -> bytes:
    """Return a packet as it came through the air."""
    number = int.from_bytes(packet, "big")
    if bit_error_rate:
        for bit in range(40):
            number ^= (dice.random() < bit_error_rate) << bit
    if dice.random() < bit7_rate:
        number ^= 0x80 << (8 * dice.randrange(1, 5))
    if dice.random() < bit7_rate / 2:  # a lost tail reads as zeros
        number &= ~0xFFFF
    return number.to_bytes(5, "big")


def noise(radio: Radio, packets_per_s: float, hours: float, dice: random.Random) -> Iterator[Heard]:
    """Yield what noise alone makes a radio say."""
    at_s = 0.0
    while (at_s := at_s + dice.expovariate(packets_per_s)) < hours * 3600:
        yield from reported(dice.randbytes(5), radio, round(at_s * S), sent_id=None, has_crc=True)


def reported(
    packet: bytes, radio: Radio, at_ns: int, *, sent_id: str | None, has_crc: bool
) -> Iterator[Heard]:
    """Yield what the radio makes of a packet: as its generation tells it."""
    id_bytes, crc = split_packet(packet)
    identity = identify(id_bytes, crc)
    crc_told = radio.tells_crc and has_crc
    if radio.is_gated:
        if not identity.id_legal or packet[:4] in (b"\0\0\0\0", b"\xff\xff\xff\xff"):
            return
        crc_told = crc_told and identity.integrity == "verified"
    verdict = identify(id_bytes, crc if crc_told else None)
    detection = Detection(
        protocol="ctt-434",
        tag_id=verdict.tag_id,
        integrity=verdict.integrity,
        id_legal=verdict.id_legal,
    )
    yield Heard(at_ns, radio.place, detection, verdict.tag_id == sent_id)


def shares(hours: float, packets_per_s: float, seed: int) -> dict[str, float]:
    """Return the table's row for one noise rate."""
    dice = random.Random(seed)
    streams = [noise(radio, packets_per_s, hours, dice) for radio in RADIOS]
    streams += [
        receptions(tag, radio, hours, random.Random(dice.random()))
        for tag in tags(dice)
        for radio in RADIOS
    ]
    tracker = RunTracker()
    verdicts: dict[int, Confidence] = {}
    rows: list[tuple[int, Heard]] = []
    judged_at = 0
    seen: dict[str, int] = {}
    for heard in heapq.merge(*(sorted(stream) for stream in map(list, streams))):
        rows.append((tracker.heard(heard.detection, heard.place, heard.at_ns), heard))
        seen[heard.detection.tag_id] = seen.get(heard.detection.tag_id, 0) + 1
        if heard.at_ns - judged_at > 300 * S:
            judged_at = heard.at_ns
            verdicts.update((each.number, each.confidence) for each in tracker.verdicts(judged_at))
    verdicts.update((each.number, each.confidence) for each in tracker.end())
    true = sum(heard.is_true for _, heard in rows)
    false = len(rows) - true
    kept = {"confidence": [0, 0], "crc": [0, 0], "twice": [0, 0]}
    for run, heard in rows:
        confidence = of_detection(verdicts[run], heard.detection.integrity)
        kept["confidence"][heard.is_true] += confidence in ("certain", "likely")
        kept["crc"][heard.is_true] += heard.detection.integrity == "verified"
        kept["twice"][heard.is_true] += seen[heard.detection.tag_id] >= 2
    row: dict[str, float] = {"true": true, "false": false}
    for rule, (false_kept, true_kept) in kept.items():
        row[f"{rule}_kept"] = true_kept / true
        row[f"{rule}_marked"] = 1 - false_kept / false if false else 1.0
    return row


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=12)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(f"{asked.hours:g} simulated hours, 24 tags, 3 radios, seed {asked.seed}")
    print("share of true detections kept / of false ones marked; goal 99 % / 95 %")
    head = f"{'site':<8} {'noise/s':>8} {'true':>8} {'false':>8}"
    print(f"{head} {'confidence':>16} {'CRC only':>16} {'seen twice':>16}")
    for site, packets_per_s in NOISE_PACKETS_PER_S.items():
        row = shares(asked.hours, packets_per_s, asked.seed)
        cells = [
            f"{100 * row[f'{rule}_kept']:6.2f} / {100 * row[f'{rule}_marked']:6.2f}"
            for rule in ("confidence", "crc", "twice")
        ]
        print(
            f"{site:<8} {packets_per_s:>8g} {row['true']:>8.0f} {row['false']:>8.0f} "
            + " ".join(f"{cell:>16}" for cell in cells)
        )


if __name__ == "__main__":
    main()
