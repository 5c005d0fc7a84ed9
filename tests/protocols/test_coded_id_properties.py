"""The decoder under any input: portions and late pulses make no difference, nothing grows."""

from collections import Counter
from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.coded_id import (
    AntennaDecoder,
    CodeBook,
    CodedTag,
    Event,
    HeardPulse,
    RunContinued,
    RunEnded,
    RunOpened,
    Tolerances,
)
from simulator.pulses import PulseAir, Transmission, made_up_beacons, made_up_tags

LATENESS_S = 2.0
TAGS = made_up_tags(60, Random(5), intervals_s=(4.0, 9.0))
BOOK = CodeBook(TAGS, Tolerances(lateness_s=LATENESS_S))


def on_the_air(seed: int, noise_per_s: float = 20.0) -> tuple[list[HeardPulse], list[Transmission]]:
    random = Random(seed)
    air = PulseAir(
        beacons=made_up_beacons(random.sample(TAGS, 5), random),
        duration_s=60.0,
        seed=seed,
        noise_per_s=noise_per_s,
        loss=0.05,
    )
    slices = list(air.slices())
    return [pulse for part, _ in slices for pulse in part], [
        one for _, part in slices for one in part
    ]


def told(portions: list[list[HeardPulse]], book: CodeBook = BOOK) -> str:
    """Return all that is told, in comparable form; the pulses are copied, for they get claimed."""
    decoder = AntennaDecoder(book)
    events: list[Event] = []
    for portion in portions:
        events += decoder.feed(
            HeardPulse(p.time_ns, p.frequency_offset_hz, p.signal_db, p.noise_db) for p in portion
        )
    return repr(events + decoder.finish()) + repr(decoder.counters)


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(0, 1500), max_size=30))
def test_how_pulses_are_portioned_makes_no_difference(seed: int, cuts: list[int]) -> None:
    pulses, _ = on_the_air(seed)
    places = [0, *sorted(cuts), len(pulses)]
    expected = told([pulses])
    assert told([pulses[a:b] for a, b in pairwise(places)]) == expected
    assert told([[pulse] for pulse in pulses]) == expected


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), shuffle=st.integers(0, 1000))
def test_the_order_of_late_pulses_makes_no_difference(seed: int, shuffle: int) -> None:
    pulses, _ = on_the_air(seed)
    random = Random(shuffle)
    late = sorted(pulses, key=lambda p: p.time_ns + random.uniform(0, LATENESS_S * 1e9))
    assert told([late]) == told([pulses])


@settings(max_examples=25)
@given(seed=st.integers(0, 1000))
def test_what_is_told_was_sent(seed: int) -> None:
    pulses, sent = on_the_air(seed)
    decoder = AntennaDecoder(BOOK)
    events = decoder.feed(pulses) + decoder.finish()
    told_bursts = [
        (event.tag_ids, burst)
        for event in events
        if isinstance(event, RunOpened | RunContinued)
        for burst in (event.bursts if isinstance(event, RunOpened) else (event.burst,))
    ]
    truth = Counter((one.tag_id, round(one.time_ns / 3e6)) for one in sent)
    for tag_ids, burst in told_bursts:
        cell = round(burst.time_ns / 3e6)
        assert any(truth[tag_ids[0], near] for near in (cell - 1, cell, cell + 1))
    lengths = sum(event.run_length for event in events if isinstance(event, RunEnded))
    assert lengths == len(told_bursts)


SMALL = Tolerances(
    held_pulses=50,
    window_pulses=40,
    pending_bursts=10,
    lone_bursts=20,
    lone_bursts_per_code=4,
    runs=5,
)
CODES = [(20.0, 25.0, 30.0), (25.0, 25.0, 30.0), (20.0, 30.0, 25.0)]
SMALL_BOOK = CodeBook(
    [
        CodedTag(
            project="p", id=f"{at}", frequency_mhz=166.38, gaps_ms=gaps, burst_interval_s=interval
        )
        for at, gaps in enumerate(CODES)
        for interval in (0.5, 0.75, 2.0)
    ],
    SMALL,
)

numbers = st.sampled_from([4000.0, 4010.0, 4100.0, -50.0]) | st.floats()
wild_pulses = st.builds(
    HeardPulse,
    st.integers(0, 200).map(lambda step: 10**18 + step * 5_000_000)
    | st.integers()
    | st.sampled_from([0, 2**63 - 1, 2**63, -1]),
    numbers,
    st.sampled_from([-50.0, -52.0]) | st.floats(),
    st.none() | st.floats(),
)


def sizes(decoder: AntennaDecoder) -> dict[str, int]:
    return {
        "held": len(decoder._order._held),
        "window": len(decoder._window),
        "pending": len(decoder._settlement.pending),
        "lone": len(decoder._settlement.lone),
        "runs": len(decoder._settlement.runs),
        "events": len(decoder._settlement.events),
    }


LARGEST = {"held": 50, "window": 40, "pending": 10, "lone": 20, "runs": 5, "events": 0}


@settings(max_examples=150)
@given(
    portions=st.lists(st.lists(wild_pulses, max_size=60), max_size=6),
    ticks=st.lists(st.integers(-(10**20), 10**20), max_size=6),
)
def test_no_pulse_raises_or_makes_anything_grow(
    portions: list[list[HeardPulse]], ticks: list[int]
) -> None:
    decoder = AntennaDecoder(SMALL_BOOK)
    for number, portion in enumerate(portions):
        decoder.feed(portion)
        if number < len(ticks):
            decoder.tick(ticks[number])
        assert all(count <= LARGEST[name] for name, count in sizes(decoder).items())
    decoder.finish()
    assert decoder.counters.pulses == sum(len(portion) for portion in portions)
    assert decoder.open_runs == 0


@settings(max_examples=10)
@given(seed=st.integers(0, 1000))
def test_a_flood_on_a_grid_of_gaps_grows_nothing(seed: int) -> None:
    random = Random(seed)
    decoder = AntennaDecoder(SMALL_BOOK)
    time_ns = 10**18
    for _ in range(30):
        portion = []
        for _ in range(50):
            time_ns += random.choice((0, 5_000_000, 5_000_000, 20_000_000))
            portion.append(HeardPulse(time_ns, random.uniform(4000, 4100), -50.0))
        decoder.feed(portion)
        assert all(count <= LARGEST[name] for name, count in sizes(decoder).items())
        assert len(decoder._settlement.runs._due) < 200
    decoder.finish()


@settings(max_examples=100)
@given(pulses=st.lists(wild_pulses, max_size=150), cut=st.integers(0, 150))
def test_portions_make_no_difference_even_where_bounds_bite(
    pulses: list[HeardPulse], cut: int
) -> None:
    expected = told([pulses], SMALL_BOOK)
    assert told([pulses[:cut], pulses[cut:]], SMALL_BOOK) == expected
    assert told([[pulse] for pulse in pulses], SMALL_BOOK) == expected


def test_pulses_beyond_the_bound_are_released_early_in_order_and_counted() -> None:
    decoder = AntennaDecoder(SMALL_BOOK)
    decoder.feed(HeardPulse(10**18 + at, 4000.0, -50.0) for at in range(60))
    assert decoder.counters.pulses_released_early == 10
    decoder.feed([HeardPulse(10**18 + 5, 4000.0, -50.0)])
    assert decoder.counters.late_pulses == 1
