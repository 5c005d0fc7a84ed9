"""A power cut leaves a store that opens, is sound, and holds all that was told to be durable."""

from pathlib import Path

from power_cuts import check_cuts, check_unsynced_cuts, loaded_store


def test_every_cut_of_the_log_leaves_a_sound_beginning(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    commits = loaded_store(path, log_bytes=90_000)
    seen: set[int] = set()
    cuts = check_cuts(path, commits, step=4096, on_cut=seen.add)
    assert cuts > 80
    assert {0, len(commits) - 1} < seen  # nothing of the log, all of it, and commits between


def test_nothing_that_was_told_durable_is_lost_with_what_was_not_synced(tmp_path: Path) -> None:
    assert check_unsynced_cuts(tmp_path, every=23) > 50
