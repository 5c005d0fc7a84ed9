"""Newer decoders over kept raw bytes: unknown frames become detections, old verdicts get new ones.

Rows are never rewritten. A frame that a decoder can read now gives new rows with the stamp of the
frame; a detection that a newer decoder reads otherwise gets a verdict beside it
(`receiver.store.redecoded`). What is done is marked, so that doing it again adds nothing.

Of a software radio's packet the bytes are read again; what its samples told stays. A coded ID is
found in many pulses together, which are not read here: such rows are counted and left.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from protocols import registry
from protocols.declared_payloads import DeclaredPayload
from protocols.errors import UnknownDecoderError
from protocols.radio.kept_packets import KeptPackets, with_what_was_heard
from protocols.records import Detection, Ignored, Record, Unknown
from receiver.arrivals import Arrival, Source, Stamp
from receiver.limits import MAX_RAW_BYTES
from receiver.radio_settings import DECODER_VERSION, DECODERS
from receiver.store.database import Store
from receiver.store.redecoded import (
    DETECTIONS,
    UNKNOWN_FRAMES,
    Bounds,
    Verdict,
    chunks,
    forget_deleted,
    note_verdict,
    pulses_kept,
    rows_kept,
    withdraw_verdict,
)
from receiver.store.rows import INSERTS, nanoseconds
from receiver.store.schema import CLOCK_QUALITIES

PACKETS_DECODER = DECODERS["ctt-434"]
"""A software radio's decoder of packets: its rows keep the packet, not what it was found in."""
_OF_PULSES = frozenset((DECODERS["coded-id"], "coded-id"))


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows are read again, and with what."""

    since_utc_ns: int | None = None
    until_utc_ns: int | None = None
    link: str | None = None
    decoder: str | None = None
    """Tried on every unknown frame instead of its own; detections of others are left alone."""
    payloads: Sequence[DeclaredPayload] = ()
    """With these, detections are read again also by the decoder that made them."""


class Tally:
    """What came of it."""

    def __init__(self) -> None:
        self.frames_read = 0
        self.frames_known_now = 0
        self.rows_made = 0
        self.detections_read = 0
        self.detections_differing = 0
        self.without_decoder = 0
        """Rows whose decoder is not installed, such as those of imported files."""
        self.cut = 0
        """Rows that keep only the first part of their raw bytes."""
        self.without_raw = 0
        """Detections that keep no raw bytes."""
        self.coded_ids = 0
        """Detections of coded IDs, which are found in many pulses together."""
        self.pulses = 0
        """Pulses, which are measured, not decoded."""
        self.of_today = 0
        """Rows that the decoder of today has read already."""


class _Reading(msgspec.Struct, frozen=True):
    """A decoder at work, under the name that it puts on rows."""

    identity: str
    decode: Callable[[bytes], tuple[Record, ...]]
    is_of_packets: bool = False
    """It reads packets that were found in samples, and tells only what the bytes tell."""


class Redecoding:
    """Reads one store again; the daemon may run meanwhile."""

    def __init__(
        self, store: Store, wanted: Wanted, *, now_utc_ns: Callable[[], int] = time.time_ns
    ) -> None:
        """Raise `UnknownDecoderError` where the wanted decoder is not installed."""
        self.tally = Tally()
        self._store = store
        self._wanted = wanted
        self._now_utc_ns = now_utc_ns
        self._readings: dict[str, _Reading | None] = {}
        if wanted.decoder not in {None, PACKETS_DECODER}:
            registry.entry(wanted.decoder)

    def rows(self) -> int:
        """Return how many rows there are to look at."""
        return rows_kept(self._store.connection)

    def run(self, on_progress: Callable[[int], None] = lambda _rows: None) -> None:
        """Read everything that is wanted; `on_progress` is told rows looked at.

        Raises:
            sqlite3.Error: disk full, I/O error; what was done before is kept.
        """
        wanted = self._wanted
        bounds = Bounds(wanted.since_utc_ns, wanted.until_utc_ns, wanted.link)
        if wanted.decoder is None:
            self.tally.pulses = pulses_kept(self._store.connection, bounds)
        for table, read in ((DETECTIONS, self._detection), (UNKNOWN_FRAMES, self._frame)):
            if table == UNKNOWN_FRAMES and wanted.decoder == PACKETS_DECODER:
                continue  # Any bytes at all would be a packet to it.
            for chunk in chunks(self._store.connection, table, bounds):
                with self._store.transaction():
                    for row in chunk:
                        read(row)
                on_progress(len(chunk))
        with self._store.transaction() as connection:
            forget_deleted(connection)

    def _frame(self, row: Mapping[str, Any]) -> None:
        """Make rows of an unknown frame, where a decoder knows it now."""
        reading = self._reading(self._wanted.decoder or _name(row["decoder"]))
        if reading is None or self._is_of_today(row, reading) or self._is_cut(row):
            return
        self.tally.frames_read += 1
        records = reading.decode(row["raw"])
        known = [record for record in records if not isinstance(record, Unknown | Ignored)]
        ignored = [record.reason for record in records if isinstance(record, Ignored)]
        if not known and not ignored:
            return
        self.tally.frames_known_now += 1
        made = self._make(known, row, reading.identity)
        verdict: Mapping[str, Any] = {"made": made} if made else {"ignored": ignored[0]}
        self._note(UNKNOWN_FRAMES, row["id"], reading.identity, verdict)
        origin = {
            "unknown_frame": row["id"],
            "reason": row["reason"],
            "decoder": row["decoder"],
        }
        for seq in made.get(DETECTIONS, ()):
            self._note(DETECTIONS, seq, reading.identity, {"from": origin})

    def _make(
        self, records: Sequence[Record], row: Mapping[str, Any], decoder: str
    ) -> dict[str, list[int]]:
        """Insert the rows of records that have the frame's stamp; return their numbers by table."""
        source = Source(
            link=row["link"],
            decoder=decoder,
            antenna=row["antenna"],
            import_id=row["import_id"],
        )
        stamp = Stamp(
            utc_ns=row["time_stamped_ns"],
            clock=CLOCK_QUALITIES[row["clock_code"]],
            mono_ns=row["mono_ns"],
            boot=row["boot"],
        )
        arrivals = [Arrival(record, source, stamp) for record in records]
        made: dict[str, list[int]] = {}
        for table, rows in self._store.row_maker.rows(arrivals).items():
            for each in rows:
                number = self._store.connection.execute(INSERTS[table], each).lastrowid
                made.setdefault(table, []).append(number or 0)
                self.tally.rows_made += 1
        return made

    def _detection(self, row: Mapping[str, Any]) -> None:
        """Keep a verdict of a detection's raw bytes, where it differs from the row."""
        name = _name(row["decoder"])
        if self._wanted.decoder not in {None, name}:
            return
        if name in _OF_PULSES or row["raw"] is None:
            self.tally.coded_ids += name in _OF_PULSES
            self.tally.without_raw += name not in _OF_PULSES
            return
        reading = self._reading(name)
        if reading is None or self._is_cut(row):
            return
        if not self._wanted.payloads and self._is_of_today(row, reading):
            return
        self.tally.detections_read += 1
        verdict = self._verdict(row, reading)
        if verdict:
            self.tally.detections_differing += 1
            self._note(DETECTIONS, row["seq"], reading.identity, verdict)
        else:
            withdraw_verdict(self._store.connection, DETECTIONS, row["seq"], reading.identity)

    def _reading(self, name: str) -> _Reading | None:
        if name not in self._readings:
            self._readings[name] = self._new_reading(name)
        reading = self._readings[name]
        if reading is None:
            self.tally.without_decoder += 1
        return reading

    def _new_reading(self, name: str) -> _Reading | None:
        payloads = self._wanted.payloads
        if name == PACKETS_DECODER:
            packets = KeptPackets.with_payloads(payloads)
            return _Reading(f"{name}/{DECODER_VERSION}", packets.decode, is_of_packets=True)
        try:
            entry = registry.entry(name)
        except UnknownDecoderError:
            return None
        return _Reading(entry.identity, entry.made(payloads).decode)

    def _is_of_today(self, row: Mapping[str, Any], reading: _Reading) -> bool:
        is_of_today: bool = reading.identity == row["decoder"]
        self.tally.of_today += is_of_today
        return is_of_today

    def _is_cut(self, row: Mapping[str, Any]) -> bool:
        is_cut = len(row["raw"]) >= MAX_RAW_BYTES
        self.tally.cut += is_cut
        return is_cut

    def _verdict(self, row: Mapping[str, Any], reading: _Reading) -> Mapping[str, Any]:
        """Return how a row's bytes are read otherwise now; nothing where they say the same."""
        records = reading.decode(row["raw"])
        detections = [
            record
            for record in records
            if isinstance(record, Detection) and record.antenna in {None, row["antenna"]}
        ]
        if not detections:
            for record in records:
                if isinstance(record, Unknown | Ignored):
                    kind = "unknown" if isinstance(record, Unknown) else "ignored"
                    return {kind: record.reason}
            return {"unknown": "no-detection"}
        # A frame with several tags has one row for each of them.
        same_tag = [record for record in detections if record.tag_id == row["tag_id"]]
        new = _fields((same_tag or detections)[0])
        old = _kept_fields(row)
        if reading.is_of_packets:
            new = with_what_was_heard(new, old, reads_payloads=bool(self._wanted.payloads))
        differing = {name: value for name, value in new.items() if value != old[name]}
        return {"fields": differing} if differing else {}

    def _note(self, kept_in: str, row_id: int, decoder: str, verdict: Mapping[str, Any]) -> None:
        note_verdict(
            self._store.connection,
            kept_in,
            row_id,
            Verdict(decoder=decoder, read_utc_ns=self._now_utc_ns(), verdict=verdict),
        )


def _name(identity: str) -> str:
    """Return the decoder's name out of `name/version`."""
    return identity.rpartition("/")[0] or identity


def _fields(detection: Detection) -> dict[str, Any]:
    relay = detection.relay
    payload = detection.payload
    fields = {
        "protocol": detection.protocol,
        "tag_id": detection.tag_id,
        "integrity": detection.integrity,
        "id_legal": detection.id_legal,
        "rssi_dbm": detection.rssi_dbm,
        "snr_db": detection.snr_db,
        "noise_dbm": detection.noise_dbm,
        "frequency_offset_hz": detection.frequency_offset_hz,
        "relay_id": relay.relay_id if relay else None,
        "relay_rssi_dbm": relay.relay_rssi_dbm if relay else None,
        "recorded_at_ns": nanoseconds(relay.recorded_at_unix_s) if relay else None,
        "collection": ",".join(map(str, relay.collection)) if relay and relay.collection else None,
        "measurements": dict(detection.measurements or {}),
        "payload": None if payload is None else payload.hex(),
    }
    told: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(fields))
    return told


def _kept_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    kept = dict(row)
    kept["id_legal"] = None if row["id_legal"] is None else bool(row["id_legal"])
    kept["measurements"] = msgspec.json.decode(row["measurements"] or "{}")
    kept["payload"] = None if row["payload"] is None else row["payload"].hex()
    return kept
