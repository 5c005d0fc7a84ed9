"""BluSeries receivers: what they reply, and what they are asked next."""

import base64
import json
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.ctt.blu import (
    BEACON,
    REVISION_0,
    Beacon,
    BluDecoder,
    BluReply,
    RequestType,
    detection_fields,
    parse_reply,
    reply,
    request,
)
from protocols.ctt.blu_poller import REPLY_TIMEOUT_NS, SILENT_AFTER, STATS_INTERVAL_NS, BluPoller
from protocols.layouts import build, parse
from protocols.payload_codec import PayloadCodec
from protocols.records import (
    CommandReply,
    Detection,
    Ignored,
    RadioInfo,
    Record,
    Setting,
    StationHealth,
    Unknown,
)
from protocols.registry import entry

S = 1_000_000_000
BEACONS = st.builds(
    Beacon,
    tag_id=st.binary(min_size=4, max_size=4),
    sync=st.integers(0, 0xFFFF),
    family=st.integers(0, 255),
    revision=st.integers(0, 255),
    payload=st.binary(max_size=20),
)
BAT = Beacon(
    tag_id=bytes.fromhex("BBAA2211"),
    sync=4711,
    family=1,
    revision=0,
    payload=bytes.fromhex("8C08D009"),
)


def line(
    beacon: Beacon = BAT, *, channel: int = 2, current_tick_ms: int = 5000, tick_ms: int = 3800
) -> bytes:
    fields = detection_fields(
        beacon, rssi_dbm=-70, current_tick_ms=current_tick_ms, detect_tick_ms=tick_ms
    )
    return reply(RequestType.DETECTIONS, channel, fields).rstrip()


def only(frame: bytes) -> Record:
    (record,) = BluDecoder().decode(frame)
    return record


def detection(frame: bytes) -> Detection:
    record = only(frame)
    assert isinstance(record, Detection)
    return record


def test_the_decoder_is_registered_for_lines() -> None:
    assert entry("ctt-blu").framing == "lines"


def test_a_detection_has_id_level_channel_and_age_by_ticks() -> None:
    heard = detection(line())
    assert (heard.protocol, heard.tag_id, heard.antenna) == ("ctt-2g4", "BBAA2211", "2")
    assert (heard.rssi_dbm, heard.age_us) == (-70, 1_200_000)
    assert (heard.integrity, heard.id_legal) == ("unverified", None)
    assert (heard.payload, heard.raw) == (BAT.payload, line())


def test_the_payload_of_the_user_guide_reads_as_printed_there() -> None:
    assert detection(line()).measurements == {
        "battery_v": 2.188,
        "temperature_c": 25.12,
        "sync": 4711,
        "family": 1,
        "revision": 0,
        "detect_tick_ms": 3800,
    }


def test_a_frosty_night_is_below_zero() -> None:
    told = REVISION_0.measurements(
        bytes.fromhex("8C08") + (-1234).to_bytes(2, "little", signed=True)
    )
    assert told == {"battery_v": 2.188, "temperature_c": -12.34}


def test_the_body_is_laid_out_as_the_receiver_sends_it() -> None:
    body = base64.b64decode(json.loads(line())["data"]["detection"])
    assert body.hex() == "bbaa2211671201008c08d009"


def test_ticks_that_passed_2_to_the_32_still_tell_the_age() -> None:
    assert detection(line(current_tick_ms=200, tick_ms=2**32 - 800)).age_us == 1_000_000


def test_ticks_of_before_a_restart_tell_no_age() -> None:
    heard = detection(line(current_tick_ms=100, tick_ms=5000))
    assert heard.age_us is None
    assert (heard.measurements or {})["detect_tick_ms"] == 5000


def test_a_payload_of_an_unknown_revision_is_kept() -> None:
    new = Beacon(tag_id=b"\1\2\3\4", sync=1, family=2, revision=9, payload=b"abc")
    heard = detection(line(new))
    assert heard.payload == b"abc"
    assert "battery_v" not in (heard.measurements or {})


def test_an_owner_can_declare_a_revision() -> None:
    codec = PayloadCodec.declared([{"name": "battery_v", "type": "u8", "scale": 0.1}])
    new = Beacon(tag_id=b"\1\2\3\4", sync=1, family=2, revision=9, payload=b"\x1e")
    (heard,) = BluDecoder({9: codec}).decode(line(new))
    assert isinstance(heard, Detection)
    assert (heard.measurements or {})["battery_v"] == 3.0


@settings(max_examples=100)
@given(beacon=BEACONS)
def test_a_beacon_reads_as_it_was_built(beacon: Beacon) -> None:
    assert parse(BEACON, build(BEACON, beacon)) == beacon
    assert detection(line(beacon)).tag_id == beacon.tag_id.hex().upper()


def test_the_first_reply_may_have_nuls_before_it() -> None:
    assert detection(b"\0\0 \t" + line()).tag_id == "BBAA2211"


def test_empty_data_ends_a_batch() -> None:
    assert only(b'{"type":6,"channel":1,"data":{}}') == Ignored(reason="end-of-batch")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"detection": "!!!", "rssi": -70}, "not-base64"),
        ({"detection": "é", "rssi": -70}, "not-base64"),
        ({"detection": "AAEC", "rssi": -70}, "length"),
        ({"detection": 5}, "detection-fields"),
        ({"rssi": -70}, "detection-fields"),
    ],
)
def test_a_damaged_detection_is_kept(fields: Mapping[str, object], reason: str) -> None:
    frame = reply(RequestType.DETECTIONS, 1, fields)
    assert only(frame) == Unknown(reason=reason, raw=frame)


def test_version_stats_and_settings_are_told() -> None:
    version = only(b'{"type":1,"channel":3,"data":{"app":"blu","version":"1.4.0"}}')
    assert isinstance(version, RadioInfo)
    assert (version.firmware, version.antenna) == ("1.4.0", "3")
    stats = only(b'{"type":9,"channel":3,"data":{"det_dropped":12,"x":[1]}}')
    assert isinstance(stats, StationHealth)
    assert (stats.measurements, stats.antenna) == ({"detections_dropped": 12}, "3")
    scan, blink = BluDecoder().decode(b'{"type":10,"channel":1,"data":{"scan":1,"rx_blink":0}}')
    assert isinstance(scan, Setting)
    assert isinstance(blink, Setting)
    assert (scan.name, scan.value, blink.name, blink.value) == ("scan", "1", "rx_blink", "0")


def test_other_replies_are_kept_as_replies_or_unknown() -> None:
    reboot = only(b'{"type":8,"channel":1,"data":{}}')
    assert isinstance(reboot, CommandReply)
    assert reboot.command == "reboot"
    strange = b'{"type":99,"channel":1,"data":{}}'
    assert only(strange) == Unknown(reason="unknown-type", raw=strange)
    assert only(b"timeout") == Unknown(reason="not-a-reply", raw=b"timeout")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@settings(max_examples=200)
@given(frame=st.binary(max_size=200))
def test_any_bytes_give_records_and_no_exception(frame: bytes) -> None:
    assert BluDecoder().decode(frame)


@settings(max_examples=200)
@given(
    kind=st.sampled_from([*RequestType, 0, 77]),
    fields=st.dictionaries(
        st.sampled_from(["detection", "rssi", "current_tick_ms", "version", "x"]), JSON
    ),
)
def test_any_reply_gives_records_and_no_exception(kind: int, fields: Mapping[str, object]) -> None:
    told = {"type": kind, "channel": 1, "data": fields}
    assert BluDecoder().decode(json.dumps(told).encode())


def test_requests_are_the_lines_of_the_receivers_protocol() -> None:
    assert request(RequestType.DETECTIONS, 1) == b'{"type":6,"channel":1,"data":{}}\r\n'
    assert json.loads(request(RequestType.CONFIG, 2, scan=1, rx_blink=0)) == {
        "type": 10,
        "channel": 2,
        "data": {"scan": 1, "rx_blink": 0},
    }


class Receiver:
    """A simulated receiver: what each radio holds, and which replies get lost."""

    def __init__(self, *, radios: tuple[int, ...] = (1, 2, 3, 4)) -> None:
        self.held: dict[int, list[Beacon]] = {radio: [] for radio in radios}
        self.asked: list[tuple[int, int]] = []
        self.lose_after: int | None = None
        """How many more lines arrive before one radio falls silent for the rest of its batch."""

    def answer(self, write: bytes) -> list[BluReply]:
        """Return the replies to what was written, as they come over the line."""
        if not write:
            return []
        asked = parse_reply(write)
        assert asked is not None
        self.asked.append((asked.type, asked.channel))
        if asked.channel not in self.held:
            return []
        lines: list[bytes] = []
        if asked.type == RequestType.DETECTIONS:
            while self.held[asked.channel]:
                if self.lose_after == 0:
                    self.lose_after = None
                    return self._heard(lines)
                if self.lose_after is not None:
                    self.lose_after -= 1
                lines.append(line(self.held[asked.channel].pop(0), channel=asked.channel))
        lines.append(reply(RequestType(asked.type), asked.channel, {}))
        return self._heard(lines)

    @staticmethod
    def _heard(lines: list[bytes]) -> list[BluReply]:
        return [told for told in map(parse_reply, lines) if told]


def run(poller: BluPoller, receiver: Receiver, *, until_ns: int) -> list[BluReply]:
    """Let the poller talk to the receiver; return the detections it got."""
    now_ns, replies, heard = 0, list[BluReply](), list[BluReply]()
    while now_ns < until_ns:
        step = poller.step(now_ns, replies)
        replies = receiver.answer(step.write)
        heard += [told for told in replies if told.type == 6 and told.data]
        now_ns = now_ns + 1_000_000 if replies else step.deadline_ns
    return heard


def beacons(count: int) -> list[Beacon]:
    return [
        Beacon(tag_id=b"\1\2\3\4", sync=sync, family=0, revision=0, payload=b"")
        for sync in range(count)
    ]


def test_nothing_is_asked_until_the_receiver_has_started() -> None:
    poller = BluPoller(opened_ns=10 * S)
    step = poller.step(10 * S)
    assert (step.write, step.deadline_ns) == (b"", 10 * S + 1_500_000_000)
    assert poller.step(step.deadline_ns).write == request(RequestType.VERSION, 1)


def test_one_request_is_out_at_a_time() -> None:
    poller = BluPoller(opened_ns=0)
    first = poller.step(2 * S)
    assert first.write
    assert poller.step(2 * S + 1).write == b""


def test_all_radios_are_asked_in_each_round() -> None:
    receiver = Receiver()
    run(BluPoller(opened_ns=0), receiver, until_ns=25 * S)
    detections = [channel for kind, channel in receiver.asked if kind == RequestType.DETECTIONS]
    assert detections == [1, 2, 3, 4] * 3
    versions = [channel for kind, channel in receiver.asked if kind == RequestType.VERSION]
    assert versions == [1, 2, 3, 4]


def test_a_lost_reply_does_not_lose_the_rest_of_the_batch() -> None:
    receiver = Receiver()
    receiver.held[2] = beacons(10)
    receiver.lose_after = 4
    poller = BluPoller(opened_ns=0)
    heard = run(poller, receiver, until_ns=9 * S)
    assert len(heard) == 10
    assert poller.timeouts == {2: 1}


def test_each_detection_of_a_batch_gives_the_next_one_its_full_time() -> None:
    poller = BluPoller(opened_ns=0, channels=(1,), poll_interval_ns=100 * S)
    told = parse_reply(line(channel=1))
    assert told is not None
    now_ns = 2 * S
    poller.step(now_ns)
    poller.step(now_ns, [BluReply(type=1, channel=1, data={"version": "1"})])
    for _ in range(5):
        now_ns += REPLY_TIMEOUT_NS - 1
        assert poller.step(now_ns, [told]).write == b""
    assert not poller.timeouts


def test_a_missing_radio_costs_nobody_else() -> None:
    receiver = Receiver(radios=(1, 4))
    receiver.held[4] = beacons(3)
    poller = BluPoller(opened_ns=0)
    heard = run(poller, receiver, until_ns=100 * S)
    assert len(heard) == 3
    assert poller.silent_channels == (2, 3)
    rounds = [channel for kind, channel in receiver.asked if (kind, channel) == (6, 4)]
    assert len(rounds) >= 8


def test_a_radio_that_answers_again_is_no_longer_silent() -> None:
    receiver = Receiver(radios=())
    poller = BluPoller(opened_ns=0, channels=(1,))
    run(poller, receiver, until_ns=SILENT_AFTER * 10 * S)
    assert list(poller.silent_channels) == [1]
    poller.step(40 * S, [BluReply(type=6, channel=1)])
    assert list(poller.silent_channels) == []


def test_a_reply_after_its_time_out_disturbs_nothing() -> None:
    poller = BluPoller(opened_ns=0, channels=(1, 2))
    poller.step(2 * S)
    step = poller.step(2 * S + REPLY_TIMEOUT_NS)
    assert step.write == request(RequestType.DETECTIONS, 1)
    late = BluReply(type=RequestType.VERSION, channel=1, data={"version": "1"})
    assert poller.step(4 * S, [late]).write == b""
    assert poller.late_replies == 1


def test_stats_are_asked_every_ten_minutes() -> None:
    receiver = Receiver()
    run(BluPoller(opened_ns=0), receiver, until_ns=STATS_INTERVAL_NS + 30 * S)
    assert [asked for asked in receiver.asked if asked[0] == RequestType.STATS] == [
        (9, 1),
        (9, 2),
        (9, 3),
        (9, 4),
    ]


def test_a_round_that_was_slept_through_is_not_made_up() -> None:
    poller = BluPoller(opened_ns=0, channels=(1,))
    poller.step(2 * S)
    step = poller.step(3600 * S)
    assert step.deadline_ns > 3600 * S


@settings(max_examples=100)
@given(
    moments=st.lists(
        st.tuples(
            st.integers(0, 20 * S),
            st.lists(
                st.builds(
                    BluReply,
                    type=st.integers(0, 11),
                    channel=st.integers(0, 5),
                    data=st.just({}) | st.just({"version": "1"}),
                ),
                max_size=3,
            ),
        ),
        max_size=40,
    )
)
def test_any_replies_leave_a_deadline_ahead(
    moments: list[tuple[int, list[BluReply]]],
) -> None:
    poller = BluPoller(opened_ns=0)
    now_ns = 0
    for pause_ns, replies in moments:
        now_ns += pause_ns
        assert poller.step(now_ns, replies).deadline_ns > now_ns
