"""The long campaigns of the store: kills, power cuts, and every cut of a full log."""

import time
from pathlib import Path

import pytest
from campaign_reports import write_report
from killed_writers import kill_writers
from power_cuts import check_cuts, check_unsynced_cuts, loaded_store

FULL_LOG_BYTES = 2_100_000
"""What the log holds before its checkpoint."""


@pytest.mark.soak
def test_every_cut_of_a_full_log_leaves_a_sound_beginning(tmp_path: Path) -> None:
    begun = time.monotonic()
    path = tmp_path / "a.db"
    commits = loaded_store(path, FULL_LOG_BYTES)
    log_bytes = path.with_name("a.db-wal").stat().st_size
    left: set[int] = set()
    cuts = check_cuts(path, commits, step=512, on_cut=left.add)
    write_report(
        "log-cuts",
        {
            "truncations": cuts,
            "log_bytes": log_bytes,
            "commits_in_the_log": len(commits) - 1,
            "different_commits_that_were_left": len(left),
            "rows": commits[-1],
            "unsound_stores": 0,
            "rows_missing_before_the_cut": 0,
            "duration_s": round(time.monotonic() - begun),
        },
    )
    assert log_bytes > FULL_LOG_BYTES * 0.9
    assert len(left) > 0.9 * len(commits)


@pytest.mark.soak
def test_nothing_durable_is_lost_with_what_was_not_synced_at_any_write(tmp_path: Path) -> None:
    begun = time.monotonic()
    cuts = check_unsynced_cuts(tmp_path, every=1)
    write_report(
        "unsynced-writes",
        {
            "power_cuts": cuts,
            "rows_lost_that_were_told_durable": 0,
            "unsound_stores": 0,
            "duration_s": round(time.monotonic() - begun),
        },
    )
    assert cuts > 1_000


@pytest.mark.soak
def test_a_hundred_kills_of_a_writer_under_load_take_nothing_durable(tmp_path: Path) -> None:
    begun = time.monotonic()
    tally = kill_writers(tmp_path / "a.db", kills=100)
    write_report(
        "writer-kills",
        {
            "kills": tally.kills,
            "kills_before_the_first_commit": tally.kills_before_the_first_commit,
            "rows_kept": tally.rows_kept,
            "rows_lost_that_were_told_durable": tally.rows_lost,
            "duration_s": round(time.monotonic() - begun),
        },
    )
    assert tally.rows_lost == 0
    assert tally.kills_before_the_first_commit < 50
