"""Times come out right whatever the clock did, and the rows stay as they were stamped."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.records import Detection, Relay
from receiver.activity import Activity, LinkActivity
from receiver.arrivals import Arrival, ClockQuality, Source
from receiver.clock import Clock
from receiver.clock_trust import FIRST_POSSIBLE_NS, LAST_POSSIBLE_NS
from receiver.links.intake import LinkStatus
from receiver.store.activity_queries import hours_listened
from receiver.store.database import Store
from receiver.store.queries import DetectionFilter, Reader
from receiver.utc_text import iso_utc

S = 10**9
MS = 10**6
HOUR_S = 3600.0
DAY_S = 86_400.0
TRUE_START_NS = 1_800_000_000 * S  # 2027-01-15T08:00:00Z
YEAR_1999_NS = 935_280_000 * S
SOURCE = Source(link="ch1", decoder="ctt/1", antenna="north")


class Machine:
    """A computer in a world with a true time: boots, drifts, and a system clock that is set."""

    def __init__(self, path: Path) -> None:
        self.true_ns = TRUE_START_NS
        self.quality: ClockQuality = "unsynchronised"
        self.store = Store.open(path, station_id="marsh")
        self.store.connection.execute("PRAGMA synchronous = OFF")  # No power is cut here.
        self.heard_at: list[int] = []
        """The true time of each detection, in order."""
        self._boots = 0
        self._drift = 0.0
        self.boots(wrong_by_s=0)

    def boots(self, *, wrong_by_s: float, drift: float = 0.0) -> None:
        """Start again: the steady clock begins anew, the system clock is off by so much."""
        self._boots += 1
        self.mono_ns = 20 * S
        self._drift = drift
        self.sets_its_clock(wrong_by_s=wrong_by_s)
        self.clock = Clock(
            utc_ns=lambda: self.mono_ns + self._offset_ns,
            mono_ns=lambda: self.mono_ns,
            quality=lambda: self.quality,
            boot=f"{self._boots:08x}-0000-4000-8000-000000000000",
        )

    def sets_its_clock(self, *, wrong_by_s: float = 0.0) -> None:
        """Step the system clock to the true time, off by so much."""
        self._offset_ns = self.true_ns + round(wrong_by_s * S) - self.mono_ns

    def passes(self, seconds: float) -> None:
        """Let true time pass; the computer's crystal makes more or less of it."""
        self.true_ns += round(seconds * S)
        self.mono_ns += round(seconds * (1 + self._drift) * S)

    def is_in_sync(self) -> None:
        """Be disciplined at the true time, and notice it."""
        self.sets_its_clock()
        self.quality = "ntp"
        self.passes(2)
        self.looks()

    def hears(self) -> None:
        """Stamp a detection and store it, with what the clock noted."""
        record = Detection(protocol="ctt-434", tag_id="78664C33", integrity="verified")
        stamp = self.clock.stamp()
        self.heard_at.append(self.true_ns)
        self.keeps_samples()
        self.store.append([Arrival(record, SOURCE, stamp)])

    def looks(self) -> None:
        """Look at the clock in silence, and store what it noted."""
        self.clock.look()
        self.keeps_samples()

    def keeps_samples(self) -> None:
        """Store what the clock noted."""
        with self.store.transaction():
            for sample in self.clock.take_samples():
                self.store.add_clock_sample(sample)

    def rows(self) -> list[dict[str, Any]]:
        """Return the detections as commands and exports get them."""
        with Reader(self.store.path) as reader:
            return list(reader.detections(DetectionFilter()))

    def errors_s(self) -> list[float]:
        """How far each row's time is from when it was heard."""
        with Reader(self.store.path) as reader:
            times = reader.connection.execute(
                "SELECT time_ns FROM readable_detections ORDER BY seq"
            ).fetchall()
        return [
            (row["time_ns"] - true) / 1e9 for row, true in zip(times, self.heard_at, strict=True)
        ]

    def qualities(self) -> list[str]:
        """Return the time quality of each row."""
        return [row["time_quality"] for row in self.rows()]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path / "marsh.db")
    yield made
    made.store.close()


def stamped(machine: Machine) -> list[tuple[int, int, int]]:
    with sqlite3.connect(machine.store.path) as connection:
        found = connection.execute(
            "SELECT utc_ns, mono_ns, clock FROM detections ORDER BY seq"
        ).fetchall()
    connection.close()
    return found


def test_rows_of_before_a_step_of_400_days_come_out_right_and_are_not_rewritten(
    machine: Machine,
) -> None:
    machine.boots(wrong_by_s=-400 * DAY_S)
    for _ in range(3):
        machine.hears()
        machine.passes(600)
    before = stamped(machine)
    assert machine.qualities() == ["unsynchronised"] * 3
    machine.sets_its_clock()
    machine.quality = "ntp"
    machine.hears()
    assert machine.qualities() == ["corrected", "corrected", "corrected", "ntp"]
    assert machine.errors_s() == [0, 0, 0, 0]
    assert stamped(machine)[:3] == before
    first = machine.rows()[0]
    assert first["time"] == iso_utc(TRUE_START_NS)
    assert first["time_stamped"] == iso_utc(TRUE_START_NS - round(400 * DAY_S) * S)


def test_a_filter_by_time_takes_the_corrected_time(machine: Machine) -> None:
    machine.boots(wrong_by_s=-400 * DAY_S)
    machine.hears()
    machine.passes(60)
    machine.sets_its_clock()
    machine.quality = "ntp"
    machine.looks()
    wanted = DetectionFilter(since_utc_ns=TRUE_START_NS, until_utc_ns=TRUE_START_NS + S)
    with Reader(machine.store.path) as reader:
        assert len(list(reader.detections(wanted))) == 1


def test_several_steps_before_the_clock_is_right_do_not_matter(machine: Machine) -> None:
    for wrong_by_s in (-400 * DAY_S, -30 * DAY_S, 3 * HOUR_S, -0.5):
        machine.sets_its_clock(wrong_by_s=wrong_by_s)
        machine.hears()
        machine.passes(700)
    machine.sets_its_clock()
    machine.quality = "gps"
    machine.hears()
    assert machine.errors_s() == [0] * 5
    assert machine.clock.steps == 5


def test_a_clock_that_goes_backwards_does_not_turn_the_order_of_rows(machine: Machine) -> None:
    machine.boots(wrong_by_s=2 * DAY_S)
    machine.hears()
    machine.passes(5)
    machine.sets_its_clock()
    machine.quality = "ntp"
    machine.hears()
    times = [row["time"] for row in machine.rows()]
    assert times == sorted(times)
    assert machine.errors_s() == [0, 0]


def test_each_boot_is_corrected_by_its_own_samples(machine: Machine) -> None:
    for wrong_by_s in (-100 * DAY_S, -200 * DAY_S, -300 * DAY_S):
        machine.quality = "unsynchronised"
        machine.boots(wrong_by_s=wrong_by_s)
        machine.hears()
        machine.passes(1000)
        machine.sets_its_clock()
        machine.quality = "ntp"
        machine.looks()
        machine.passes(1000)
    assert machine.errors_s() == [0, 0, 0]


def test_a_boot_that_never_was_right_stays_unsynchronised_between_two_that_were(
    machine: Machine,
) -> None:
    machine.is_in_sync()
    machine.hears()
    machine.quality = "unsynchronised"
    machine.boots(wrong_by_s=-20 * DAY_S)
    machine.hears()
    machine.quality = "ntp"
    machine.boots(wrong_by_s=0)
    machine.hears()
    assert machine.qualities() == ["ntp", "unsynchronised", "ntp"]
    row = machine.rows()[1]
    assert row["time"] == row["time_stamped"]


def test_slewing_changes_nothing(machine: Machine) -> None:
    # The kernel slews both clocks: their difference stays.
    machine.boots(wrong_by_s=0, drift=0.0005)
    machine.quality = "ntp"
    for _ in range(100):
        machine.passes(1)
        machine.looks()
    machine.hears()
    assert machine.clock.steps == 0
    assert machine.qualities() == ["ntp"]


def test_the_drift_of_weeks_without_a_network_is_spread_over_them(machine: Machine) -> None:
    machine.boots(wrong_by_s=0, drift=50e-6)
    machine.is_in_sync()
    machine.quality = "unsynchronised"
    for _ in range(30):
        machine.passes(DAY_S)
        machine.hears()
    machine.passes(60)
    machine.sets_its_clock()
    machine.quality = "ntp"
    machine.looks()
    assert machine.qualities() == ["corrected"] * 30
    assert max(map(abs, machine.errors_s())) < 0.1  # 130 s off without it


def test_rows_after_the_last_good_sample_are_reckoned_from_it(machine: Machine) -> None:
    machine.is_in_sync()
    machine.quality = "unsynchronised"
    machine.sets_its_clock(wrong_by_s=-90 * DAY_S)
    machine.passes(60)
    machine.hears()
    assert machine.qualities() == ["corrected"]
    assert machine.errors_s() == [0]


def test_rows_stamped_while_the_clock_was_good_keep_their_time_after_a_bad_step(
    machine: Machine,
) -> None:
    machine.is_in_sync()
    machine.hears()
    machine.passes(10)
    machine.sets_its_clock(wrong_by_s=-10 * DAY_S)
    machine.quality = "unsynchronised"  # The kernel forgets its sync when a clock is set.
    machine.hears()
    assert machine.qualities() == ["ntp", "corrected"]
    assert machine.errors_s() == [0, 0]


def test_good_samples_that_contradict_each_other_do_not_stretch_time(machine: Machine) -> None:
    machine.quality = "ntp"
    machine.sets_its_clock(wrong_by_s=-50 * DAY_S)  # A server that lies.
    machine.looks()
    machine.quality = "unsynchronised"
    for _ in range(4):
        machine.passes(100)
        machine.hears()
    machine.passes(100)
    machine.sets_its_clock()
    machine.quality = "ntp"
    machine.looks()
    errors = machine.errors_s()
    assert errors == [-50 * DAY_S, -50 * DAY_S, 0, 0]


@pytest.mark.parametrize("utc_ns", [0, YEAR_1999_NS, FIRST_POSSIBLE_NS - 1, LAST_POSSIBLE_NS])
def test_a_time_that_cannot_be_is_implausible_whatever_the_kernel_says(utc_ns: int) -> None:
    clock = Clock(utc_ns=lambda: utc_ns, mono_ns=lambda: S, quality=lambda: "ntp", boot="a")
    assert clock.stamp().clock == "implausible"
    (sample,) = clock.take_samples()
    assert sample.clock == "implausible"


def test_a_receiver_whose_weeks_rolled_over_is_not_believed_but_corrected(
    machine: Machine,
) -> None:
    machine.quality = "ntp"
    machine.boots(wrong_by_s=(YEAR_1999_NS - TRUE_START_NS) / S)
    machine.hears()
    assert machine.qualities() == ["implausible"]
    machine.passes(3600)
    machine.sets_its_clock()
    machine.hears()
    assert machine.qualities() == ["corrected", "ntp"]
    assert machine.errors_s() == [0, 0]


def gps_reports(machine: Machine, seconds: int, *, wrong_by_s: float = 0.0) -> None:
    """Let a receiver report its fix every second, 0.3 s after it."""
    for _ in range(seconds):
        machine.passes(1)
        machine.clock.gps_said(machine.true_ns - 300 * MS + round(wrong_by_s * S))


def test_a_receiver_corrects_a_clock_that_nobody_sets(machine: Machine) -> None:
    machine.boots(wrong_by_s=-400 * DAY_S)
    machine.hears()
    gps_reports(machine, 30)
    machine.hears()
    assert machine.qualities() == ["corrected", "corrected"]
    assert [abs(error) <= 1 for error in machine.errors_s()] == [True, True]


def test_a_receiver_is_believed_after_ten_even_seconds_only(machine: Machine) -> None:
    machine.clock.take_samples()
    gps_reports(machine, 10)
    assert machine.clock.take_samples() == []
    gps_reports(machine, 1)
    assert [sample.reason for sample in machine.clock.take_samples()] == ["gpsd"]


def test_a_receiver_that_jumps_is_believed_later(machine: Machine) -> None:
    machine.clock.take_samples()
    gps_reports(machine, 8, wrong_by_s=-90)
    gps_reports(machine, 8)
    assert machine.clock.take_samples() == []


def test_a_receiver_in_1999_is_never_believed(machine: Machine) -> None:
    machine.clock.take_samples()
    gps_reports(machine, 60, wrong_by_s=(YEAR_1999_NS - TRUE_START_NS) / S)
    assert machine.clock.take_samples() == []


def test_a_receiver_corrects_an_undisciplined_clock_once_an_hour(machine: Machine) -> None:
    machine.clock.take_samples()
    gps_reports(machine, 2 * 3600 + 60)
    reasons = [sample.reason for sample in machine.clock.take_samples()]
    assert reasons.count("gpsd") == 3


def test_a_disciplined_clock_takes_no_sample_of_a_receiver(machine: Machine) -> None:
    machine.is_in_sync()
    machine.clock.take_samples()
    gps_reports(machine, 60)
    assert "gpsd" not in [sample.reason for sample in machine.clock.take_samples()]


def test_a_receiver_that_was_away_has_to_run_evenly_again(machine: Machine) -> None:
    machine.is_in_sync()
    gps_reports(machine, 20)
    machine.passes(61)
    gps_reports(machine, 1)
    machine.passes(1)
    assert machine.clock.stamp().clock == "ntp"
    gps_reports(machine, 10)
    assert machine.clock.stamp().clock == "gps"


def test_a_receiver_that_agrees_vouches_for_the_clock_for_a_minute(machine: Machine) -> None:
    machine.quality = "ntp"
    gps_reports(machine, 20)
    assert machine.clock.stamp().clock == "gps"
    machine.passes(59)
    assert machine.clock.stamp().clock == "gps"
    machine.passes(3)
    assert machine.clock.stamp().clock == "ntp"


def test_a_receiver_that_disagrees_is_noted_and_vouches_for_nothing(machine: Machine) -> None:
    machine.quality = "ntp"
    machine.sets_its_clock(wrong_by_s=7200)
    gps_reports(machine, 20)
    assert machine.clock.stamp().clock == "ntp"
    assert machine.clock.references.gps_disagrees_s == pytest.approx(7200.3)
    machine.sets_its_clock()
    gps_reports(machine, 20)
    assert machine.clock.references.gps_disagrees_s is None


def test_nobody_vouches_for_a_clock_that_the_kernel_calls_unsynchronised(machine: Machine) -> None:
    gps_reports(machine, 20)
    machine.clock.chrony_said("pps")
    machine.passes(2)
    assert machine.clock.stamp().clock == "unsynchronised"


def test_what_chrony_says_holds_for_three_minutes(machine: Machine) -> None:
    machine.quality = "ntp"
    machine.clock.chrony_said("gps")
    machine.passes(179)
    assert machine.clock.stamp().clock == "gps"
    machine.passes(3)
    assert machine.clock.stamp().clock == "ntp"


def test_a_chrony_that_follows_itself_is_not_in_sync(machine: Machine) -> None:
    machine.quality = "ntp"
    machine.clock.chrony_said("unsynchronised")
    machine.passes(2)
    assert machine.clock.stamp().clock == "unsynchronised"


@pytest.mark.parametrize(
    ("recorded_s", "quality"),
    [
        (1_483_232_463, "implausible"),  # 2017-01-01, a node before its first fix
        (935_280_000, "implausible"),  # 1999
        (3_471_292_800, "implausible"),  # 2080
        (TRUE_START_NS / S - 5, "relay"),
        (TRUE_START_NS / S + 3600, "relay"),
        (TRUE_START_NS / S + 2 * DAY_S, "implausible"),
    ],
)
def test_a_relay_that_lives_in_another_time_is_marked_and_kept(
    machine: Machine, recorded_s: float, quality: str
) -> None:
    machine.boots(wrong_by_s=-400 * DAY_S)  # The relay is judged by the corrected time.
    relay = Relay(relay_id="3796F5", recorded_at_unix_s=recorded_s)
    record = Detection(protocol="ctt-434", tag_id="78664C33", integrity="verified", relay=relay)
    machine.store.append([Arrival(record, SOURCE, machine.clock.stamp())])
    machine.passes(60)
    machine.sets_its_clock()
    machine.quality = "ntp"
    machine.looks()
    (row,) = machine.rows()
    assert row["time"] == iso_utc(TRUE_START_NS)
    assert row["recorded_at"] == iso_utc(round(recorded_s * S))
    assert row["recorded_at_quality"] == quality


class Listening:
    """The hours that a daemon on this machine counts."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._status = LinkStatus("ch1")
        self._activity = Activity(machine.clock.stamp().utc_ns, machine.clock.boot)
        self._counts = LinkActivity(self._status, iter(["north"]))
        self._activity.add(self._counts)

    def hears(self) -> None:
        """End an hour that is over, count a frame, and store the hour so far."""
        self.keeps_hour()
        self._counts.of("north").frames += 1
        self.keeps_hour()

    def keeps_hour(self) -> None:
        """Store the hour so far."""
        now_ns = self._machine.clock.stamp().utc_ns
        self._machine.keeps_samples()
        with self._machine.store.transaction():
            for row in self._activity.rows(now_ns):
                self._machine.store.put_activity(row)


def hours(machine: Machine, **wanted: int) -> dict[str, int]:
    """Return the frames of each hour."""
    with Reader(machine.store.path) as reader:
        found = list(hours_listened(reader, DetectionFilter(**wanted)))  # type: ignore[arg-type]
    return {hour["hour"][:13]: hour["frames"] for hour in found}


def test_hours_listened_with_a_wrong_clock_are_moved_to_where_they_belong(
    machine: Machine,
) -> None:
    machine.boots(wrong_by_s=-400 * DAY_S)
    listening = Listening(machine)
    for _ in range(3):
        listening.hears()
        machine.passes(3600)
    assert set(hours(machine)) == {"2025-12-11T08", "2025-12-11T09", "2025-12-11T10"}
    machine.is_in_sync()
    listening.hears()
    assert hours(machine) == {
        "2027-01-15T08": 1,
        "2027-01-15T09": 1,
        "2027-01-15T10": 1,
        "2027-01-15T11": 1,
    }
    since_ns = TRUE_START_NS + 3 * 3600 * S
    assert set(hours(machine, since_utc_ns=since_ns)) == {"2027-01-15T11"}
    assert set(hours(machine, until_utc_ns=TRUE_START_NS + 3600 * S)) == {"2027-01-15T08"}


def test_hours_of_a_boot_that_never_was_right_stay_where_they_are(machine: Machine) -> None:
    machine.boots(wrong_by_s=-400 * DAY_S)
    Listening(machine).hears()
    machine.boots(wrong_by_s=0)
    machine.is_in_sync()
    Listening(machine).hears()
    assert set(hours(machine)) == {"2025-12-11T08", "2027-01-15T08"}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["sync", "unsync", "step", "reboot", "silence"]),
        st.floats(-500 * DAY_S, 500 * DAY_S),
        st.floats(0.0, 2 * DAY_S),
    ),
    max_size=12,
)


@settings(max_examples=60)
@given(STEPS)
def test_whatever_the_clock_did_a_good_or_corrected_row_is_right(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, float, float]]
) -> None:
    machine = Machine(tmp_path_factory.mktemp("clock") / "marsh.db")
    try:
        for what, wrong_by_s, seconds in steps:
            machine.passes(seconds)
            if what == "sync":
                machine.sets_its_clock()
                machine.quality = "ntp"
            elif what == "unsync":
                machine.quality = "unsynchronised"
            elif what == "step":
                machine.quality = "unsynchronised"
                machine.sets_its_clock(wrong_by_s=wrong_by_s)
            elif what == "reboot":
                machine.quality = "unsynchronised"
                machine.boots(wrong_by_s=wrong_by_s)
            machine.passes(1.1)
            machine.looks()
            machine.hears()
        for quality, error_s in zip(machine.qualities(), machine.errors_s(), strict=True):
            if quality in {"ntp", "corrected"}:
                assert abs(error_s) < 1e-6
    finally:
        machine.store.close()


def test_a_year_of_hourly_samples_does_not_slow_reading(machine: Machine) -> None:
    machine.boots(wrong_by_s=-400 * DAY_S)
    machine.hears()
    machine.quality = "ntp"
    machine.sets_its_clock()
    machine.passes(2)
    for _ in range(24 * 365):
        machine.passes(3600)
        machine.clock.look()
    machine.keeps_samples()
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    with Reader(machine.store.path) as reader:
        reader.connection.set_progress_handler(count, 100)
        rows = list(reader.detections(DetectionFilter()))
    assert [row["time_quality"] for row in rows] == ["corrected"]
    assert steps < 100  # Each is a hundred instructions of SQLite; a scan takes thousands.
