"""What a collector makes of bytes: rows, or a refusal with its reason; never an error."""

import datetime as dt
import gzip
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_traffic import AT_NS, SOURCE, numbers

from protocols.records import GpsFix, RelayHealth
from receiver.arrivals import ActivityRow, Arrival, ClockSample, Stamp
from receiver.collector.rows import Contents, read
from receiver.sinks import outbox
from receiver.sinks.batches import Batch, BatchError, Compression, Header, pack, unpack
from receiver.store.database import Store
from receiver.store.outbox import SinkNote

ALSO = ("gps_fixes", "relay_health", "clock_samples", "activity", "events")
HOUR_S = AT_NS // 10**9
UUID = "0f0f7c4e-0000-4000-8000-000000000001"
MOST = 10**6


def batch_of(*lines: bytes, compression: Compression = "gzip", **header: object) -> Batch:
    given = {"station_id": "marsh", "store_uuid": UUID, "schema_version": 1, "rows": len(lines)}
    return pack(Header(**{**given, **header}), lines, compression)  # type: ignore[arg-type]  # Each test's own.


def activity(hour: int, frames: int, session: str = "a") -> ActivityRow:
    return ActivityRow(
        hour_utc_s=HOUR_S + hour * 3600,
        session=session,
        link="ch1",
        antenna="north",
        listening_s=3600.0,
        frames=frames,
        detections=3,
        pulses=0,
        noise_dbm=-110.5,
        rejects={"crc": 2},
    )


def test_what_a_station_packs_a_collector_reads(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    unset = Stamp(5 * 10**9, "unsynchronised", 100, "boot-a")
    with Store.open(path, station_id="marsh") as store:
        first = numbers([1])[0]
        store.append([msgspec.structs.replace(first, stamp=unset), *numbers([2, 3])])
        fix = GpsFix(latitude=44.3, longitude=-66.1, gps_unix_s=1.5)
        health = RelayHealth(relay_id="377FEB", battery_v=3.9)
        store.append([Arrival(kind, SOURCE, Stamp(AT_NS, "ntp")) for kind in (fix, health)])
        with store.transaction():
            store.add_clock_sample(ClockSample("boot-a", 100 + 10**9, AT_NS, "ntp", "sync"))
            store.put_activity(activity(-1, 10))
            store.put_activity(activity(0, 20))
    outgoing = outbox.read(
        path, "far", ALSO, most_rows=100, most_bytes=MOST, now_utc_ns=AT_NS + 5 * 10**9
    )
    contents = read(pack(outgoing.header, outgoing.lines, "gzip").body, MOST)
    assert [row.seq for row in contents.detections] == [1, 2, 3]
    corrected, second, _ = contents.detections
    begin = dt.datetime.fromtimestamp(AT_NS // 10**9, dt.UTC)
    assert (corrected.time_stamped, corrected.time_quality) == (
        dt.datetime(1970, 1, 1, 0, 0, 5, tzinfo=dt.UTC),
        "corrected",
    )
    assert corrected.time == begin - dt.timedelta(seconds=1)
    assert (second.time, second.time_quality) == (None, "ntp")
    assert (second.tag_id, second.raw, second.decoder) == ("00000002", "32", "ctt/1")
    assert (second.boot, second.mono_ns) == ("boot-a", 5 + 2 * 10**9)
    assert [(row.boot, row.time_quality, row.reason) for row in contents.clock_samples] == [
        ("boot-a", "ntp", "sync")
    ]
    # The hour that is not over may still change.
    assert [(row.hour, row.frames) for row in contents.activity] == [
        (begin - dt.timedelta(hours=1), 10)
    ]
    assert {note.kind for note in contents.notes} == {"gps_fixes", "relay_health"}
    assert b'"latitude":44.3' in contents.notes[0].body


def test_an_hour_that_changed_is_sent_again_and_one_of_a_wrong_clock_too(tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    def sent(now_hour: int, mark: int) -> list[tuple[str, int]]:
        outgoing = outbox.read(
            path,
            "far",
            ("activity",),
            most_rows=100,
            most_bytes=MOST,
            now_utc_ns=(HOUR_S + now_hour * 3600) * 10**9,
        )
        contents = read(pack(outgoing.header, outgoing.lines, "none").body, MOST)
        assert mark <= outgoing.position.marks.get("activity", 0)
        with Store.open(path) as store, store.transaction():
            store.note_sinks(
                [SinkNote(sink="far", marks={b.kind: b.last for b in outgoing.header.beside})], 0
            )
        return [(row.session, row.frames) for row in contents.activity]

    with Store.open(path, station_id="marsh") as store, store.transaction():
        store.put_activity(activity(400_000, 1, "future"))
        store.put_activity(activity(0, 5, "a"))
    assert sent(0, 0) == [("future", 1)]
    with Store.open(path) as store, store.transaction():
        store.put_activity(activity(0, 9, "a"))
        store.put_activity(activity(1, 2, "b"))
    assert sent(1, 1) == [("a", 9)]
    assert sent(2, 3) == [("b", 2)]
    with Store.open(path) as store, store.transaction():
        store.put_activity(activity(0, 12, "a"))
    assert sent(2, 4) == [("a", 12)]


def test_beside_rows_and_detections_share_a_batch(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store.open(path, station_id="marsh") as store:
        store.append(numbers(range(100)))
        fix = GpsFix(latitude=44.3, longitude=-66.1)
        store.append(Arrival(fix, SOURCE, Stamp(AT_NS, "ntp")) for _ in range(100))
    outgoing = outbox.read(path, "far", ALSO, most_rows=20, most_bytes=MOST, now_utc_ns=AT_NS)
    assert (outgoing.header.rows, outgoing.header.beside[0].rows) == (10, 10)
    assert not outgoing.is_all
    least = outbox.read(path, "far", ALSO, most_rows=20, most_bytes=1, now_utc_ns=AT_NS)
    assert len(least.lines) == 1


@given(body=st.binary(max_size=300))
def test_bytes_that_are_no_batch_are_refused_with_a_reason(body: bytes) -> None:
    for prefix in (b"", b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd", b'{"station_id":"a"}\n'):
        with pytest.raises(BatchError):
            read(prefix + body, MOST)


GOOD = b'{"seq":1,"time_stamped":"2026-01-01T00:00:00Z","time_quality":"ntp","link":"a",'
GOOD += b'"tag_id":"A","integrity":"verified","decoder":"ctt/1"}'


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        (batch_of(GOOD, rows=2), "1 rows came"),
        (batch_of(GOOD, schema_version=2), "update the collector"),
        (batch_of(GOOD, store_uuid="x"), "store_uuid"),
        (batch_of(GOOD, station_id=""), "no station"),
        (batch_of(b"{"), "row 1 of detections"),
        (batch_of(GOOD.replace(b'"A"', b"3")), "tag_id"),
        (batch_of(GOOD.replace(b"00Z", b"00")), "time"),
        (batch_of(GOOD.replace(b'"seq":1', b'"seq":9223372036854775808')), "seq"),
        (batch_of(GOOD.replace(b'"seq"', b'"raw":"abc","seq"')), "raw"),
    ],
)
def test_a_batch_that_is_not_what_it_says_is_refused(batch: Batch, words: str) -> None:
    with pytest.raises(BatchError, match=words):
        read(batch.body, MOST)


def test_a_good_batch_reads_in_every_compression() -> None:
    for compression in ("gzip", "zstd", "none"):
        contents = read(batch_of(GOOD, compression=compression).body, MOST)
        assert isinstance(contents, Contents)
        assert contents.rows == 1


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_a_batch_that_unpacks_to_too_much_is_refused(compression: Compression) -> None:
    body = batch_of(GOOD + b" " * 3 * MOST, compression=compression).body
    with pytest.raises(BatchError, match=r"more than|longer"):
        read(body, MOST)


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_a_batch_that_was_cut_is_refused(compression: Compression) -> None:
    body = batch_of(GOOD, GOOD, compression=compression).body
    for length in range(0, len(body), 7):
        with pytest.raises(BatchError):
            unpack(body[:length], MOST)
    with pytest.raises(BatchError):
        unpack(gzip.compress(body)[:-1], MOST)


def test_a_nul_in_text_is_replaced_and_the_raw_bytes_stay() -> None:
    line = GOOD.replace(b'"A"', b'"A\\u0000\\\\u0000"').replace(b'"seq"', b'"raw":"00","seq"')
    (row,) = read(batch_of(line).body, MOST).detections
    assert (row.tag_id, row.raw) == ("A\ufffd\\u0000", "00")


def test_rows_of_an_unknown_kind_are_kept_as_they_came() -> None:
    line = b'{"id":7,"time_stamped":"2026-01-01T00:00:00Z","height_m":3}'
    header = {"rows": 0, "beside": ({"kind": "tides", "first": 7, "last": 7, "rows": 1},)}
    body = msgspec.json.encode(
        {"station_id": "marsh", "store_uuid": UUID, "schema_version": 1, **header}
    )
    (note,) = read(body + b"\n" + line + b"\n", MOST).notes
    assert (note.kind, note.id, note.body) == ("tides", 7, line)
