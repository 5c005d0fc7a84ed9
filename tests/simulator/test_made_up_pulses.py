"""Made-up pulses: codes have the real geometry, the truth is what was received."""

from itertools import combinations
from random import Random

import pytest

from simulator.pulses import PulseAir, made_up_beacons, made_up_codes, made_up_tags


def test_codes_have_the_geometry_of_real_ones() -> None:
    codes = made_up_codes(300, Random(1))
    assert len(set(codes)) == 300
    assert all(21.9 <= first <= 159.0 for first, _, _ in codes)
    assert all(19.5 <= gap <= 156.3 for _, *gaps in codes for gap in gaps)
    assert all(sum(gaps) <= 427.0 for gaps in codes)
    nearest = min(
        max(abs(a - b) for a, b in zip(one, other, strict=True))
        for one, other in combinations(codes, 2)
    )
    assert nearest == pytest.approx(4.883, abs=0.002)


def test_the_same_seed_gives_the_same_pulses_in_order() -> None:
    random = Random(3)
    tags = made_up_tags(4, random)
    air = PulseAir(
        beacons=made_up_beacons(tags, random), duration_s=95.0, seed=7, noise_per_s=5.0, loss=0.1
    )
    pulses = [pulse for part, _ in air.slices() for pulse in part]
    times = [pulse.time_ns for pulse in pulses]
    assert times == sorted(times)
    assert times == [pulse.time_ns for part, _ in air.slices() for pulse in part]
    sent = [one for _, part in air.slices() for one in part]
    tag_pulses = sum(one.received_pulses for one in sent)
    assert 0 < tag_pulses < 4 * len(sent)
    assert 95 * 5 * 0.8 < len(pulses) - tag_pulses < 95 * 5 * 1.2


def test_only_every_second_burst_may_reach_the_station() -> None:
    random = Random(3)
    (tag,) = made_up_tags(1, random, intervals_s=(10.0, 10.0))
    air = PulseAir(beacons=made_up_beacons([tag], random, every=2), duration_s=100.0, seed=1)
    sent = [one for _, part in air.slices() for one in part]
    assert len(sent) == 5
