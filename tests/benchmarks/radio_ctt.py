"""What the software radio hears of CTT packets: `python tests/benchmarks/radio_ctt.py`.

Prints packets found and false ids in synthetic I/Q of 8 bits at 250 kS/s beside those of rtl_433
(flex decoder, `minmax`, as in `deploy/rtl_433`) on the same files, then hours of noise, multiples
of real time on one core, and memory. `--quick` takes a fifth of everything, `--only TEXT` the cases
whose name contains TEXT. Asserts nothing. Ten minutes on one core.

All signals are synthetic: rectangular 2-FSK of 25 kHz deviation in white noise, made by
`simulator.iq`, which knows nothing of the decoder. SNR is the packet's power against the noise in
the whole 250 kHz. Ids are random, carriers spread by +-3 kHz around a case's offset. A packet is
found when its id is told within 1 ms of its place; false is a verified id (of rtl_433: one whose
CRC is right or was mended) that was not on the air then. rtl_433 tells ids without place, and is
credited with each at most once.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

for _threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_threads] = "1"  # One core is what is measured.

import numpy as np  # noqa: E402  The lines above must come first.

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))

from report import machine  # noqa: E402  The path above makes it importable.

from protocols.ctt.packet import build_packet, id_from_number  # noqa: E402  As above.
from protocols.radio.ctt_ear import CttEar  # noqa: E402  As above.
from protocols.radio.heard_packet import HeardPacket  # noqa: E402  As above.
from protocols.radio.samples import SampleBytes, Samples  # noqa: E402  As above.
from protocols.records import Detection  # noqa: E402  As above.
from protocols.registry import entry  # noqa: E402  As above.
from simulator.iq import (  # noqa: E402  As above.
    BIT_RATE,
    DEVIATION_HZ,
    NOISE_RMS,
    RATE_HZ,
    Burst,
    IqTape,
    encoded,
    fsk_samples,
)

RTL_433 = shutil.which("rtl_433")
FLEX = "n=CTT,m=FSK_PCM,s=40,l=40,r=2000,preamble=d391,bits>=34"
NEAR_SAMPLES = RATE_HZ // 1000
NOT_MEASURED = "-"
PACKET_S = 80 / BIT_RATE
Disturbance = Callable[[Samples, int], Samples]


class Sent(NamedTuple):
    """One packet on the air."""

    at_s: float
    tag_id: str
    snr_db: float
    offset_hz: float = 0.0
    bit_rate: float = BIT_RATE
    deviation_hz: float = DEVIATION_HZ
    level: int = 0
    """0 for the strongest of those that overlap, 1 for the next."""
    part: float = 1.0
    """So much of it was sent: of a tag whose battery failed, or that went behind a wall."""


class Case(NamedTuple):
    """One row of the table."""

    name: str
    sent: list[Sent]
    goal: str = ""
    disturbance: Disturbance | None = None


class Heard(NamedTuple):
    """What one decoder made of a case: packets found by level, and false ids."""

    found: list[int]
    false: int


def undisturbed(samples: Samples, begin: int) -> Samples:
    """Return the samples as they are."""
    del begin
    return samples


def impulses(samples: Samples, begin: int) -> Samples:
    """Add an electric fence or an ignition: 100 impulses a second of 20 us, to full scale."""
    dice = np.random.default_rng(begin)
    for at in dice.integers(0, len(samples), round(100 * len(samples) / RATE_HZ)):
        samples[at : at + 5] += np.complex64(3 * np.exp(2j * np.pi * dice.random()))
    return samples


def carrier(samples: Samples, begin: int) -> Samples:
    """Add a carrier 13 kHz off, 10 dB above the noise of the whole band."""
    turns = (np.arange(begin, begin + len(samples)) * (13_000 / RATE_HZ)) % 1.0
    strong = np.float32(NOISE_RMS * np.sqrt(10))
    samples += strong * np.exp(2j * np.pi * turns).astype(np.complex64)
    return samples


def spike(samples: Samples, begin: int) -> Samples:
    """Add what a stick shows at its own middle, 4 dB above the noise."""
    del begin
    samples += np.complex64(0.2 + 0.13j)
    return samples


def separate(
    dice: Random,
    count: int,
    snr_db: float,
    *,
    offset_hz: float = 0.0,
) -> list[Sent]:
    """Return packets one after the other, of random ids."""
    return [
        Sent(
            at_s=0.05 + number * 0.02 + dice.random() * 0.01,
            tag_id=id_from_number(dice.randrange(1 << 20)),
            snr_db=snr_db,
            offset_hz=offset_hz * dice.choice((-1, 1)) + dice.uniform(-3000, 3000),
        )
        for number in range(count)
    ]


def overlapping(dice: Random, count: int, levels_db: tuple[float, ...]) -> list[Sent]:
    """Return groups of packets that overlap by a tenth to nine tenths of a packet."""
    sent: list[Sent] = []
    for number in range(count):
        at_s = 0.05 + number * 0.03 + dice.random() * 0.01
        for level, snr_db in enumerate(levels_db):
            apart_s = (
                0.0 if level == 0 else dice.choice((-1, 1)) * dice.uniform(0.1, 0.9) * PACKET_S
            )
            sent.append(
                Sent(
                    at_s=at_s + apart_s,
                    tag_id=id_from_number(dice.randrange(1 << 20)),
                    snr_db=snr_db,
                    offset_hz=dice.uniform(-3000, 3000),
                    level=level,
                )
            )
    return sent


def cases(count: int) -> Iterator[Case]:
    """Yield the rows of the table, so many packets each."""
    goals = {-2: ">= 99 %", -4: ">= 80 %"}
    for snr_db in (20, 12, 9, 6, 3, 0, -2, -3, -4, -5, -6, -7, -8):
        dice = Random(100 + snr_db)
        yield Case(f"SNR {snr_db} dB", separate(dice, count, snr_db), goals.get(snr_db, ""))
    for snr_db in (12, -2, -4):
        yield from cases_off(count, snr_db)
    for weakest_db in (6, 0):
        for apart_db in (0, 3, 6, 10):
            levels = (weakest_db + apart_db, weakest_db)
            goal = "weaker >= 50 %" if apart_db == 6 else ""
            sent = overlapping(Random(apart_db), count, tuple(map(float, levels)))
            yield Case(f"two tags, {levels[0]} and {levels[1]} dB", sent, goal)
    for apart_db in (0, 3, 6):
        levels_db = (3.0 + 2 * apart_db, 3.0 + apart_db, 3.0)
        sent = overlapping(Random(50 + apart_db), count, levels_db)
        yield Case("three tags, {:g}, {:g}, {:g} dB".format(*levels_db), sent)
    for snr_db in (12, 0, -3):
        dice = Random(30 + snr_db)
        whole = separate(dice, count, snr_db)
        cut_off = [each._replace(part=dice.uniform(0.5, 0.95)) for each in whole]
        yield Case(f"cut off, {snr_db} dB", cut_off)
    for name, disturbance in (("impulses", impulses), ("carrier", carrier), ("DC spike", spike)):
        for snr_db in (12, -2, -4):
            sent = separate(Random(11), count, snr_db)
            yield Case(f"{name}, {snr_db} dB", sent, disturbance=disturbance)


def cases_off(count: int, snr_db: int) -> Iterator[Case]:
    """Yield the rows of tags that are not as they should be."""
    for offset_khz in (5, 10, 15, 20, 25):
        sent = separate(Random(offset_khz), count, snr_db, offset_hz=1000 * offset_khz)
        yield Case(f"+-{offset_khz} kHz off, {snr_db} dB", sent)
    for percent in (-0.5, -0.25, 0.25, 0.5):
        sent = separate(Random(7), count, snr_db)
        rate = BIT_RATE * (1 + percent / 100)
        off = [each._replace(bit_rate=rate) for each in sent]
        yield Case(f"bit rate {percent:+g} %, {snr_db} dB", off)
    for percent in (-4, -2, 2, 4):
        sent = separate(Random(8), count, snr_db)
        deviation_hz = DEVIATION_HZ * (1 + percent / 100)
        off = [each._replace(deviation_hz=deviation_hz) for each in sent]
        yield Case(f"deviation {percent:+g} %, {snr_db} dB", off)


def recording(case: Case) -> bytes:
    """Return what a stick would have sampled."""
    tape = IqTape(len(case.sent) + len(case.name))
    for each in case.sent:
        samples = fsk_samples(
            build_packet(each.tag_id),
            offset_hz=each.offset_hz,
            bit_rate=each.bit_rate,
            deviation_hz=each.deviation_hz,
        )
        sent = samples[: round(each.part * len(samples))]
        tape.put(Burst(each.at_s, sent, each.snr_db))
    samples = tape.take(max(each.at_s for each in case.sent) + 0.1)
    return encoded((case.disturbance or undisturbed)(samples, 0), "cu8")


def heard_by_ear(stream: bytes) -> list[HeardPacket]:
    """Return what the decoder under test finds."""
    ear, samples = CttEar(RATE_HZ), SampleBytes("cu8")
    heard: list[HeardPacket] = []
    for begin in range(0, len(stream), RATE_HZ // 2):
        heard += ear.feed(samples.feed(stream[begin : begin + RATE_HZ // 2]))
    return heard + ear.finish()


def judged(case: Case, heard: list[HeardPacket]) -> Heard:
    """Compare what was heard with what was sent."""
    found = [0] * (1 + max(each.level for each in case.sent))
    right: set[int] = set()
    for each in case.sent:
        mine = [
            place
            for place, packet in enumerate(heard)
            if packet.tag_id == each.tag_id
            and abs(packet.first_sample - each.at_s * RATE_HZ) < NEAR_SAMPLES
        ]
        found[each.level] += bool(mine)
        right.update(mine)
    wrong = [packet for place, packet in enumerate(heard) if place not in right]
    return Heard(found, sum(packet.integrity == "verified" for packet in wrong))


def heard_by_rtl_433(case: Case, stream: bytes, folder: Path) -> Heard:
    """Return what rtl_433 finds in the same file."""
    file = folder / "air_434M_250k.cu8"
    file.write_bytes(stream)
    found, wrong = [0] * (1 + max(each.level for each in case.sent)), 0
    sent = {each.tag_id: each.level for each in case.sent}
    for tag in told_by_rtl_433(file):
        if tag.tag_id in sent:
            found[sent.pop(tag.tag_id)] += 1
        else:
            wrong += tag.integrity in ("verified", "repaired") and not any(
                tag.tag_id == each.tag_id for each in case.sent
            )
    return Heard(found, wrong)


def told_by_rtl_433(file: Path) -> list[Detection]:
    """Return rtl_433's events as the station reads them."""
    assert RTL_433 is not None
    done = subprocess.run(
        [RTL_433, "-R", "0", "-X", FLEX, "-Y", "minmax", "-r", str(file), "-F", "json"],
        capture_output=True,
        check=True,
    )
    decoder = entry("rtl433").make()
    records = [record for line in done.stdout.splitlines() for record in decoder.decode(line)]
    return [record for record in records if isinstance(record, Detection)]


def noise(hours: float, disturbance: Disturbance) -> tuple[list[HeardPacket], float]:
    """Return what is heard in so much noise, and the processor time that took."""
    tape, ear, samples = IqTape(2026), CttEar(RATE_HZ), SampleBytes("cu8")
    heard: list[HeardPacket] = []
    spent_s = 0.0
    for second in range(1, round(hours * 3600) + 1):
        block = disturbance(tape.take(second), (second - 1) * RATE_HZ)
        stream = encoded(block, "cu8")
        begin = time.process_time()
        heard += ear.feed(samples.feed(stream))
        spent_s += time.process_time() - begin
    return heard, spent_s


def print_cases(count: int, only: str, folder: Path) -> None:
    """Print packets found and false ids, ours and rtl_433's."""
    print(
        f"{'':28} {'packets':>7}  {'found %':<17} {'false':>5}  "
        f"{'rtl_433 %':<17} {'false':>5}  goal"
    )
    for case in cases(count):
        if only not in case.name:
            continue
        stream = recording(case)
        ours = judged(case, heard_by_ear(stream))
        theirs = heard_by_rtl_433(case, stream, folder) if RTL_433 else None
        print(
            f"{case.name:28} {len(case.sent):7}  {shares(case, ours):<17} {ours.false:5}  "
            f"{shares(case, theirs):<17} {theirs.false if theirs else NOT_MEASURED:>5}  "
            f"{case.goal}".rstrip(),
            flush=True,
        )


def shares(case: Case, heard: Heard | None) -> str:
    """Return the percentage found of each level, the strongest first."""
    if heard is None:
        return NOT_MEASURED
    sent = [sum(each.level == level for each in case.sent) for level in range(len(heard.found))]
    return " ".join(
        f"{100 * found / whole:.1f}" for found, whole in zip(heard.found, sent, strict=True)
    )


def print_noise(hours: float, only: str, folder: Path) -> None:
    """Print false ids in noise, alone and with interference."""
    for name, part, disturbance in (
        ("noise", 1.0, undisturbed),
        ("noise and impulses", 0.1, impulses),
        ("noise and carrier", 0.1, carrier),
        ("noise and DC spike", 0.1, spike),
    ):
        if only not in name:
            continue
        heard, spent_s = noise(hours * part, disturbance)
        verified = sum(packet.integrity == "verified" for packet in heard)
        print(
            f"{name}: {verified} false ids in {hours * part:.2f} h,"
            f" {hours * part * 3600 / spent_s:.1f} x real time  {'none' * (part == 1)}".rstrip(),
            flush=True,
        )
    if RTL_433 and only in "noise":
        tape = IqTape(2026)
        file = folder / "noise_434M_250k.cu8"
        file.write_bytes(encoded(tape.take(600 * min(1.0, hours)), "cu8"))
        print(
            f"rtl_433: {len(told_by_rtl_433(file))} ids in {600 * min(1.0, hours):.0f} s of noise"
        )


def print_cost(seconds: int) -> None:
    """Print multiples of real time on one core, and the process's memory."""
    for name, per_s, offsets_hz in (
        ("whole grid, noise only", 0, None),
        ("whole grid, 5 packets/s", 5, None),
        ("whole grid, 25 packets/s", 25, None),
        ("one offset, 5 packets/s", 5, (0.0,)),
    ):
        dice = Random(5)
        tape = IqTape(9)
        for _ in range(per_s * seconds):
            packet = build_packet(id_from_number(dice.randrange(1 << 20)))
            samples = fsk_samples(packet, offset_hz=dice.uniform(-3000, 3000))
            tape.put(Burst(dice.uniform(0, seconds), samples, dice.uniform(-3, 20)))
        ear, reader = CttEar(RATE_HZ), SampleBytes("cu8")
        if offsets_hz is not None:
            ear.listen_at(offsets_hz)
        spent_s = 0.0
        for tenth in range(1, 10 * seconds + 1):
            stream = encoded(tape.take(tenth / 10), "cu8")
            begin = time.process_time()
            ear.feed(reader.feed(stream))
            spent_s += time.process_time() - begin
        goal = ">= 8" if offsets_hz is None else ""
        print(f"{name:28} {seconds / spent_s:6.1f} x real time  {goal}".rstrip(), flush=True)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"memory, this whole process   {peak_mb:6.0f} MB")


def main() -> None:
    """Print the tables."""
    options = argparse.ArgumentParser(description="Measures the CTT software radio.")
    options.add_argument("--quick", action="store_true", help="a fifth of the packets and hours")
    options.add_argument("--only", default="", help="only cases whose name contains this")
    options.add_argument("--hours", type=float, default=1.0, help="of noise")
    chosen = options.parse_args()
    part = 0.2 if chosen.quick else 1.0
    print(f"CTT packets by software radio, synthetic signals only\nmachine: {machine()}\n")
    if RTL_433 is None:
        print("rtl_433 is not installed, its columns stay empty: sudo apt-get install rtl-433\n")
    print_cost(round(30 * part))
    with tempfile.TemporaryDirectory() as folder:
        print()
        print_cases(round(200 * part), chosen.only, Path(folder))
        print()
        print_noise(chosen.hours * part, chosen.only, Path(folder))


if __name__ == "__main__":
    main()
