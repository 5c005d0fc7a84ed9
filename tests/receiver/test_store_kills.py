"""SIGKILL at any moment takes nothing that was told to be durable."""

from pathlib import Path

from killed_writers import kill_writers


def test_a_writer_that_is_killed_under_load_has_kept_what_it_told_durable(tmp_path: Path) -> None:
    tally = kill_writers(tmp_path / "a.db", kills=10)
    assert tally.rows_lost == 0
    assert tally.rows_kept >= tally.rows_told_durable > 0
    assert tally.kills_before_the_first_commit < 10
