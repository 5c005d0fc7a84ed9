"""The log: readable in each form, UTC with Z, and nothing from the air unescaped."""

import contextlib
import io
import json
import os
import re

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from receiver import log, log_ring


def line(log_format: log.LogFormat, level: str = "info", **values: object) -> str:
    stream = io.StringIO()
    log.configure(log_format, level, stream)
    structlog.get_logger().warning("link lost", **values)
    return stream.getvalue()


def test_a_terminal_gets_time_level_event_and_values() -> None:
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \[warning  \] link lost +link=ch1 reason=gone\n",
        line("pretty", link="ch1", reason="gone"),
    )


def test_systemd_gets_the_priority_first_and_key_value_pairs() -> None:
    assert line("journal", link="ch1") == '<4>event="link lost" link=ch1\n'


def test_json_is_one_object_a_line() -> None:
    told = json.loads(line("json", link="ch1", rssi_dbm=-75))
    assert (told["event"], told["link"], told["rssi_dbm"]) == ("link lost", "ch1", -75)
    assert told["timestamp"].endswith("Z")


def test_journal_is_chosen_where_systemd_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:12345")
    assert line("auto").startswith("<4>")
    monkeypatch.delenv("JOURNAL_STREAM")
    assert not line("auto").startswith("<")


def test_less_than_the_level_is_not_told() -> None:
    assert line("pretty", level="error") == ""


@pytest.mark.parametrize("log_format", ["pretty", "journal", "json"])
def test_an_escape_sequence_from_the_air_stays_text(log_format: log.LogFormat) -> None:
    told = line(log_format, raw=b"\x1b[31mred\x07\n<0>panic", tag="a\r\nb\u202e")
    assert told.count("\n") == 1
    assert "\x1b" not in told
    assert "\x07" not in told
    assert "\u202e" not in told
    assert "\\x1b" in told


@given(st.text() | st.binary())
def test_whatever_it_is_it_becomes_one_printable_line(text: str | bytes) -> None:
    shown = log.escaped(text)
    assert shown == "" or shown.isprintable()


def test_a_long_text_is_cut() -> None:
    assert len(log.escaped("x" * 100_000)) == 501


def test_a_log_that_nobody_takes_any_more_stops_nobody() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", buffering=1, encoding="utf-8") as gone:
        os.close(reading)
        log.configure("pretty", "info", gone)
        for tell in ("debug", "info", "warning", "error", "critical", "exception"):
            getattr(structlog.get_logger(), tell)("link lost")
        with contextlib.suppress(BrokenPipeError):
            gone.close()
    structlog.get_logger().warning("link lost")  # The stream is closed now.
    assert [each.event for each in log_ring.KEPT.since(0)[-2:]] == ["link lost"] * 2
