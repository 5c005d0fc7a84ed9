"""The simulated world: the same seed, the same bytes; and what it prints is what it says."""

import collections
import hashlib
import itertools

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.ctt.lines import CttLineDecoder
from protocols.framing import LineFramer
from protocols.records import Detection, RelayHealth
from simulator.air import Air
from simulator.firmware import passes_gate
from simulator.positions import Position, distance_m
from simulator.scenario import Scenario, all_generations, quiet_marsh, saturation, scenario
from simulator.stations import Radio
from simulator.truth import Reception, Transmission
from simulator.world import Emission, World

ROUGH = all_generations().changed(duration_s=300, bit_error_rate=0.005, line_noise=0.1)


def emissions(scenario: Scenario) -> list[Emission]:
    return [each for each in World(scenario).happenings() if isinstance(each, Emission)]


def receptions(scenario: Scenario) -> list[Reception]:
    happenings = [
        each.reception if isinstance(each, Emission) else each
        for each in World(scenario).happenings()
    ]
    return [each for each in happenings if isinstance(each, Reception)]


def told(scenario: Scenario) -> bytes:
    return b"\n".join(
        each.wire + msgspec.json.encode(each.reception)
        if isinstance(each, Emission)
        else msgspec.json.encode(each)
        for each in World(scenario).happenings()
    )


def everything_wrong(scenario: Scenario, air: Air) -> Scenario:
    return msgspec.structs.replace(scenario, air=air)


def test_the_same_seed_gives_the_same_bytes_and_the_same_truth() -> None:
    assert told(ROUGH) == told(ROUGH)


def test_another_seed_gives_other_bytes() -> None:
    assert told(ROUGH) != told(ROUGH.changed(seed=2))


def test_one_more_radio_changes_nothing_for_the_others() -> None:
    station = ROUGH.stations[0]
    newcomer = Radio(name="newcomer", generation="G5", antenna="roof")
    wider = msgspec.structs.replace(station, radios=(newcomer, *station.radios))
    world = msgspec.structs.replace(ROUGH, stations=(wider,))
    before = [(each.radio.name, each.wire) for each in emissions(ROUGH)]
    after = [(each.radio.name, each.wire) for each in emissions(world)]
    assert sorted(before) == sorted(each for each in after if each[0] != "newcomer")


def test_emissions_come_in_order_of_time_and_end_with_the_scenario() -> None:
    times = [each.time_s for each in emissions(ROUGH)]
    assert times == sorted(times)
    assert times[-1] < ROUGH.duration_s


def test_a_line_that_was_not_spoiled_decodes_to_what_the_truth_says() -> None:
    sent: dict[int, Transmission] = {}
    decoder = CttLineDecoder()
    decoded = 0
    for each in World(all_generations()).happenings():
        if isinstance(each, Transmission):
            sent[each.number] = each
        if not isinstance(each, Emission):
            continue
        transmission = sent[each.reception.transmission]
        (record,) = decoder.decode(each.wire.removesuffix(b"\r\n"))
        if transmission.what == "node-health":
            assert isinstance(record, RelayHealth)
            assert record.relay_id == transmission.sender
            assert record.relay_rssi_dbm == each.reception.rssi_dbm
        elif transmission.what == "relayed-beep":
            assert isinstance(record, Detection)
            assert record.relay is not None
            assert record.relay.relay_id == transmission.sender
            assert record.relay.relay_rssi_dbm == each.reception.rssi_dbm
            assert transmission.relays is not None
            assert record.tag_id == sent[transmission.relays].sender
        else:
            assert isinstance(record, Detection)
            assert record.relay is None
            assert each.radio.generation == "G2" or record.tag_id == transmission.sender
            if each.radio.generation != "G0":
                assert record.rssi_dbm == each.reception.rssi_dbm
        decoded += 1
    assert decoded > 500


def test_every_generation_of_radio_and_node_is_heard() -> None:
    decoder = CttLineDecoder()
    heard = collections.Counter[tuple[str, str]]()
    for each in emissions(all_generations()):
        (record,) = decoder.decode(each.wire.strip())
        relay = record.relay if isinstance(record, Detection) else None
        node = relay.relay_id if relay else getattr(record, "relay_id", "")
        heard[each.radio.name, f"{type(record).__name__} {node}".strip()] += 1
    for generation in range(6):
        assert heard[f"g{generation}", "Detection"] > 100
    pairs = [
        ("g3-nodes", "377"),
        *itertools.product(("g4-nodes", "g5-nodes"), ("3796F5", "A3796F5")),
    ]
    for radio, node in pairs:
        assert heard[radio, f"Detection {node}"] > 100
        assert heard[radio, f"RelayHealth {node}"] >= 1


def test_bits_are_wrong_as_often_as_asked() -> None:
    rate = 0.01
    scenario = everything_wrong(
        saturation(radios=2).changed(duration_s=10), Air(bit_error_rate=rate)
    )
    rows = receptions(scenario)
    share = sum(row.wrong_bits for row in rows) / (40 * len(rows))
    assert len(rows) > 6_000
    assert abs(share - rate) < 0.0008  # Five standard deviations of 280,000 bits.
    assert all(bool(row.wrong_bits) == ("bit-errors" in row.air_faults) for row in rows)


def test_nothing_is_wrong_in_clean_air() -> None:
    assert {
        (row.wrong_bits, row.air_faults, row.line_fault) for row in receptions(quiet_marsh())
    } == {(0, (), None)}


def test_a_bit_7_flip_is_one_wrong_bit_that_the_dictionary_cannot_see() -> None:
    rows = receptions(everything_wrong(all_generations(), Air(bit7_flip_rate=0.25)))
    flipped = [row for row in rows if row.air_faults == ("bit-7",)]
    assert flipped
    assert all(row.wrong_bits == 1 for row in flipped)
    assert {row.outcome for row in flipped} <= {"printed", "buffered"}


def test_a_lost_tail_reads_as_zeros() -> None:
    scenario = everything_wrong(all_generations(), Air(lost_tail_rate=0.25))
    lost = [row for row in receptions(scenario) if row.air_faults == ("lost-tail",)]
    assert lost
    assert all(row.received is not None and row.received[6:8] == "00" for row in lost)


def test_a_station_radio_keeps_an_illegal_id_to_itself_and_a_dongle_prints_it() -> None:
    illegal = [
        row
        for row in receptions(ROUGH)
        if row.received is not None
        and not row.receiver.endswith("-nodes")
        and not passes_gate(bytes.fromhex(row.received[:8]))
    ]
    outcomes = {(row.receiver, row.outcome) for row in illegal}
    assert ("g0", "printed") in outcomes
    assert ("g2", "printed") in outcomes
    assert ("g5", "gated") in outcomes
    assert not outcomes & {("g3", "printed"), ("g4", "printed"), ("g5", "printed")}


def test_lines_are_spoiled_as_often_as_asked() -> None:
    printed = emissions(saturation(radios=2).changed(duration_s=10, line_noise=0.2))
    spoiled = sum(each.reception.line_fault is not None for each in printed)
    assert abs(spoiled / len(printed) - 0.2) < 0.025
    faults = {each.reception.line_fault for each in printed}
    assert faults == {None, "garbage-line", "garbage-before", "cut"}


def test_a_line_of_garbage_leaves_the_line_after_it_whole() -> None:
    for each in emissions(ROUGH):
        if each.reception.line_fault == "garbage-line":
            *_, whole = LineFramer().feed(each.wire)
            (record,) = CttLineDecoder().decode(whole)
            assert isinstance(record, Detection | RelayHealth)


def test_a_power_tag_is_never_more_than_verified_by_chance() -> None:
    verified = collections.Counter[str]()
    for each in emissions(all_generations().changed(duration_s=3600)):
        (record,) = CttLineDecoder().decode(each.wire.strip())
        if (
            each.radio.name == "g5"
            and isinstance(record, Detection)
            and record.tag_id == "2D2D2D33"
        ):
            verified[record.integrity] += 1
    assert verified["unverified"] > 200
    assert verified["verified"] < 10


def test_a_node_dates_beeps_by_its_own_clock() -> None:
    plain = quiet_marsh()
    late = msgspec.structs.replace(plain.nodes[0], clock_offset_s=-600)
    scenario = msgspec.structs.replace(plain, nodes=(late,)).changed(duration_s=60)
    relays = []
    for each in emissions(scenario):
        (record,) = CttLineDecoder().decode(each.wire.strip())
        if isinstance(record, Detection) and record.relay is not None:
            relays.append((record.relay, each.reception.heard_at_unix_s))
    assert relays
    for relay, heard_at_unix_s in relays:
        assert relay.recorded_at_unix_s is not None
        assert 599 <= heard_at_unix_s - relay.recorded_at_unix_s <= 607


def test_a_burst_counts_its_packets_from_zero() -> None:
    bursts = collections.defaultdict[int, list[tuple[int, int]]](list)
    for each in emissions(quiet_marsh().changed(duration_s=60)):
        (record,) = CttLineDecoder().decode(each.wire.strip())
        if isinstance(record, Detection) and record.relay and record.relay.collection:
            collection_id, count, index = record.relay.collection
            bursts[collection_id].append((count, index))
    assert len(bursts) > 5
    for packets in bursts.values():
        assert packets == [(len(packets), index) for index in range(len(packets))]


def test_a_saturated_radio_prints_350_lines_a_second() -> None:
    printed = emissions(saturation(radios=3).changed(duration_s=4))
    lines = collections.Counter(each.radio.name for each in printed)
    assert set(lines.values()) <= set(range(1398, 1401))
    assert len(lines) == 3


def test_a_radio_tuned_to_nodes_hears_no_tags_from_then_on() -> None:
    world = World(quiet_marsh().changed(duration_s=60))
    happenings = world.happenings()
    first = next(each for each in happenings if isinstance(each, Emission))
    world.tune("marsh", "north", "nodes")
    world.tune("marsh", "south", "neither")
    later = [each for each in happenings if isinstance(each, Emission)][2:]
    assert first.radio.name == "north"
    assert {each.radio.name for each in later} == {"nodes"}


def test_a_tag_shows_within_three_seconds_of_the_demo() -> None:
    seen = {each.radio.name for each in emissions(quiet_marsh().changed(duration_s=3))}
    assert {"north", "south"} <= seen


def test_one_degree_of_latitude_is_111_kilometres() -> None:
    assert abs(distance_m(Position(38, -75), Position(39, -75)) - 111_195) < 1
    assert abs(distance_m(Position(0, 179.5), Position(0, -179.5)) - 111_195) < 1


@settings(max_examples=25)
@given(
    seed=st.integers(min_value=0, max_value=2**63),
    bit_error_rate=st.floats(min_value=0, max_value=1),
    line_noise=st.floats(min_value=0, max_value=1),
)
def test_whatever_is_wrong_the_world_goes_on_and_the_decoder_reads_it(
    seed: int, bit_error_rate: float, line_noise: float
) -> None:
    scenario = all_generations().changed(
        seed=seed, bit_error_rate=bit_error_rate, line_noise=line_noise, duration_s=20
    )
    framer, decoder = LineFramer(), CttLineDecoder()
    transmissions = []
    for each in World(scenario).happenings():
        if isinstance(each, Transmission):
            transmissions.append(each.number)
        elif isinstance(each, Emission):
            for frame in framer.feed(each.wire):
                assert decoder.decode(frame)
    assert transmissions == list(range(1, len(transmissions) + 1))


def test_the_same_seed_gives_these_bytes_on_every_machine() -> None:
    city = scenario("noisy-city").changed(duration_s=120)
    digest = hashlib.sha256(told(city)).hexdigest()
    assert digest[:16] == "21f4d3442b6e990d"
