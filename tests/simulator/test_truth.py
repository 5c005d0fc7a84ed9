"""The truth file: every transmission, every reception, and how to follow one to the other."""

from pathlib import Path

import pytest

from simulator.play import play_at_once
from simulator.scenario import Scenario, ScenarioError, all_generations, quiet_marsh, scenario
from simulator.truth import Receiver, Reception, Transmission, TruthRow, truth_schema
from simulator.truth_file import TruthFile, read_truth
from simulator.world import Emission, World


class Taking:
    """An outlet that takes every second line."""

    def __init__(self) -> None:
        self.taken: list[Emission] = []
        self.refused = 0

    def send(self, emission: Emission) -> bool:
        """Take one line, refuse the next."""
        if len(self.taken) > self.refused:
            self.refused += 1
            return False
        self.taken.append(emission)
        return True


def witnessed(world: Scenario, path: Path, outlet: Taking) -> list[TruthRow]:
    with TruthFile(path) as file:
        play_at_once(World(world), [outlet], file.write)
        assert file.rows == path.read_bytes().count(b"\n")
    return read_truth(path)


def test_every_reception_is_of_a_transmission_told_before(tmp_path: Path) -> None:
    rows = witnessed(all_generations(), tmp_path / "truth.jsonl", Taking())
    sent: dict[int, Transmission] = {}
    for row in rows:
        if isinstance(row, Transmission):
            assert row.relays is None or row.relays in sent
            sent[row.number] = row
        elif isinstance(row, Reception):
            assert row.heard_at_unix_s > sent[row.transmission].sent_at_unix_s
    assert len(sent) > 100


def test_what_nobody_took_is_not_delivered(tmp_path: Path) -> None:
    outlet = Taking()
    rows = witnessed(quiet_marsh(), tmp_path / "truth.jsonl", outlet)
    outcomes = [row.outcome for row in rows if isinstance(row, Reception)]
    assert outcomes.count("printed") == len(outlet.taken)
    assert outcomes.count("not-delivered") == outlet.refused


def test_a_relayed_beep_leads_back_to_its_tag(tmp_path: Path) -> None:
    rows = witnessed(quiet_marsh(), tmp_path / "truth.jsonl", Taking())
    sent = {row.number: row for row in rows if isinstance(row, Transmission)}
    buffered = {
        row.transmission: row
        for row in rows
        if isinstance(row, Reception) and row.outcome == "buffered"
    }
    relayed = [row for row in sent.values() if row.what == "relayed-beep"]
    assert relayed
    for row in relayed:
        assert row.relays is not None
        assert buffered[row.relays].receiver == row.sender
        assert row.packet is not None
        assert row.packet.startswith(sent[row.relays].sender)


def test_the_schema_names_every_kind_of_row() -> None:
    kinds = truth_schema()["anyOf"]
    assert len(kinds) == 4
    assert {"Receiver", "Transmission", "Reception", "OutOfReach"} == set(truth_schema()["$defs"])


def test_the_receivers_are_told_first(tmp_path: Path) -> None:
    rows = witnessed(quiet_marsh(), tmp_path / "truth.jsonl", Taking())
    first = rows[:4]
    assert [row.receiver for row in first if isinstance(row, Receiver)] == [
        "north",
        "south",
        "nodes",
        "3796F5",
    ]
    assert not any(isinstance(row, Receiver) for row in rows[4:])


def test_a_broken_line_is_named_by_file_and_number(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    with TruthFile(path) as file:
        play_at_once(World(quiet_marsh().changed(duration_s=3)), [], file.write)
    good = len(read_truth(path))
    with path.open("ab") as broken:
        broken.write(b'{"kind":"reception"}\n')
    with pytest.raises(ValueError, match=rf"truth\.jsonl, line {good + 1}: .*transmission"):
        read_truth(path)


def test_a_scenario_that_cannot_be_says_what_would_be_right() -> None:
    with pytest.raises(ScenarioError, match="there are: quiet-marsh, saturation"):
        scenario("loud-marsh")
    with pytest.raises(ScenarioError, match="bit error rate: 2 must be 0 to 1"):
        quiet_marsh().changed(bit_error_rate=2)
    with pytest.raises(ScenarioError, match="line noise: -1 must be 0 to 1"):
        quiet_marsh().changed(line_noise=-1)
    with pytest.raises(ScenarioError, match="duration: 0 s must be more than 0"):
        quiet_marsh().changed(duration_s=0)
