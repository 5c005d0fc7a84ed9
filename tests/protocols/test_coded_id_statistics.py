"""Burst statistics and confidence: the formulas of the programs whose columns they become."""

import math

import pytest

from protocols.coded_id import HeardPulse, HourOfRuns, run_confidence
from protocols.coded_id.bursts import measure
from protocols.records import Pulse

FREQUENCIES_HZ = [4268.0, 4281.0, 4259.0, 4275.0]
SIGNALS_DB = [-63.1, -62.4, -64.0, -63.3]
NOISES_DB = [-79.1, -79.9, -79.4, -79.3]


def test_the_statistics_are_those_of_find_tags() -> None:
    pulses = tuple(
        HeardPulse(at, frequency, signal, noise)
        for at, (frequency, signal, noise) in enumerate(
            zip(FREQUENCIES_HZ, SIGNALS_DB, NOISES_DB, strict=True)
        )
    )
    burst = measure(pulses, time_ns=7, slop_ns=350_000)
    squares, total = sum(f * f for f in FREQUENCIES_HZ), sum(FREQUENCIES_HZ)
    powers = [10 ** (signal / 10) for signal in SIGNALS_DB]
    mean = sum(powers) / 4
    deviation = math.sqrt(sum((power - mean) ** 2 for power in powers) / 3)
    assert burst.frequency_offset_hz == pytest.approx(4270.75)
    assert burst.frequency_sd_hz == pytest.approx(
        math.sqrt((4 * squares - total**2) / 12), rel=1e-6
    )
    assert burst.signal_db == pytest.approx(10 * math.log10(mean))
    assert burst.signal_sd_percent == pytest.approx(100 * deviation / mean)
    assert burst.noise_db == pytest.approx(
        10 * math.log10(sum(10 ** (noise / 10) for noise in NOISES_DB) / 4)
    )
    assert burst.slop_ms == pytest.approx(0.35)
    assert (burst.time_ns, burst.pulse_count) == (7, 4)
    assert burst.measurements(0.2) == {
        "pulse_count": 4,
        "signal_db": burst.signal_db,
        "signal_sd_percent": burst.signal_sd_percent,
        "noise_db": burst.noise_db,
        "frequency_sd_hz": burst.frequency_sd_hz,
        "slop_ms": 0.35,
        "interval_error_ms": 0.2,
    }


def test_noise_that_was_not_measured_is_absent() -> None:
    unknown = [None, math.nan, math.inf, -math.inf]
    pulses = tuple(HeardPulse(at, 1.0, -50.0, noise) for at, noise in enumerate(unknown))
    burst = measure(pulses, time_ns=0, slop_ns=0)
    assert burst.noise_db is None
    assert burst.measurements().keys().isdisjoint({"noise_db", "interval_error_ms"})


def test_a_pulse_keeps_the_record_that_it_came_from() -> None:
    record = Pulse(frequency_offset_hz=4000.0, signal_db=-50.0, noise_db=-80.0, raw=b"p3,1,4,-50")
    heard = HeardPulse.of(5, record)
    assert heard.origin is record
    assert (heard.time_ns, heard.frequency_offset_hz, heard.signal_db) == (5, 4000.0, -50.0)


QUIET = HourOfRuns(runs=12, runs_of_two=11)
NOISY = HourOfRuns(runs=200, runs_of_two=180)
CROWDED = HourOfRuns(runs=200, runs_of_two=150)


@pytest.mark.parametrize(
    ("length", "hour", "grade"),
    [
        (1, QUIET, "false"),
        (2, QUIET, "doubtful"),
        (3, QUIET, "doubtful"),
        (4, QUIET, "likely"),
        (5, QUIET, "certain"),
        (2, NOISY, "false"),
        (4, NOISY, "doubtful"),
        (4, CROWDED, "likely"),
        (5, NOISY, "certain"),
        (4, None, "likely"),
    ],
)
def test_confidence_follows_run_length_and_the_motus_rule_of_noisy_hours(
    length: int, hour: HourOfRuns | None, grade: str
) -> None:
    assert run_confidence(length, hour=hour) == grade


def test_other_faults_cost_a_grade_each() -> None:
    assert run_confidence(5, missed_bursts=30) == "likely"
    assert run_confidence(5, mean_interval_error_ms=-3.5) == "likely"
    assert run_confidence(5, missed_bursts=30, mean_interval_error_ms=3.5) == "doubtful"
    assert run_confidence(6, complete_bursts=1) == "likely"
    assert run_confidence(100, missed_bursts=1000) == "certain"
    assert run_confidence(2, missed_bursts=30, mean_interval_error_ms=9.0) == "false"
