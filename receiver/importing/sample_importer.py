"""Files of I/Q samples into the store: decoded as a software radio would, again without harm.

A file is known again by its first samples, whose noise no other file has, and by what was listened
for. What is stored of it already is passed over: so an import that was killed is gone through
again, and a longer copy adds what is new. Needs numpy, the extra `stopover[sdr]`.
"""

import hashlib
import sqlite3
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from protocols.records import Detection, Setting
from protocols.times import is_plausible
from receiver.arrivals import Arrival, ClockQuality, Source, Stamp
from receiver.importing.importer import FileReport
from receiver.importing.ledger import Entry, Identity, Ledger, as_recorded
from receiver.importing.sample_files import (
    ForeignFormError,
    SampleFile,
    SampleFileError,
    Told,
    sample_file,
)
from receiver.radio_settings import DECODER_VERSION, SoftwareRadioLink
from receiver.radio_worker.channel import Caught, channel_of, frame_bytes
from receiver.store.database import Store

_HEAD_BYTES: Final = 64 * 1024
_LEAST_DISTINCT: Final = 8
"""Bytes of a head that differ; fewer are no noise, and the whole file must tell it apart."""
_PIECE_S: Final = 0.5
_COMMITTED_S: Final = 30.0
"""Samples that are decoded between two transactions."""
_SAME_NS: Final = 1_000_000
"""A packet found again, next to another end of its file, is the same within a millisecond."""
_NS_PER_S: Final = 1_000_000_000


class SampleImporter:
    """Imports files of samples, one after another, into one store."""

    def __init__(
        self,
        store: Store,
        told: Told,
        *,
        now_ns: int,
        known_tags: frozenset[str] = frozenset(),
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Prepare to import.

        Args:
            store: where the rows go.
            told: what the caller says of all files.
            now_ns: the computer's time; what is later than a day after is implausible.
            known_tags: ids that are believed where a packet is weak or has no CRC.
            on_progress: told how many bytes of the present file have been decoded.
        """
        self._store = store
        self._ledger = Ledger(store.connection)
        self._told = told
        self._now_ns = now_ns
        self._known_tags = known_tags
        self._on_progress = on_progress

    def import_file(self, path: Path) -> FileReport:
        """Import one file; what is wrong with it is told in the report.

        Raises:
            sqlite3.Error: the store cannot be written; what was committed before stays.
        """
        report = FileReport(path=path)
        try:
            resolved = path.resolve(strict=True)
            about = sample_file(resolved, self._told)
            with resolved.open("rb") as file:
                self._import(resolved, file, about, report)
        except ForeignFormError as error:
            report.is_foreign = True
            report.notes.append(str(error))
        except SampleFileError as error:
            report.damage.append(str(error))
        except OSError as error:
            report.damage.append(f"cannot be read: {error.strerror}")
        return report

    def _import(self, path: Path, file: BinaryIO, about: SampleFile, report: FileReport) -> None:
        report.kind = f"samples {about.link.hears}"
        head = _head_of(file)
        if head is None:
            report.notes.append("is empty")
            return
        entries = self._ledger.of_head(head, report.kind)
        report.import_ids.update(entry.import_id for entry in entries)
        is_known = any(entry.is_complete and _begins_with(file, entry) for entry in entries)
        # Of other ids than were known then there may be more in it.
        if is_known and not self._known_tags:
            report.is_known = True
            return
        report.notes.append(about.note)
        known = _Known(self._store.connection, report.import_ids)
        import_id = entries[0].import_id if entries else None
        link = about.link
        channel = channel_of(link, self._known_tags | about.known_tags)
        piece_bytes = round(_PIECE_S * link.rate_hz) * frame_bytes(link)
        pieces_committed = round(_COMMITTED_S / _PIECE_S)
        seen = hashlib.sha256()
        read_bytes = 0
        waiting: list[Caught] = []
        file.seek(0)
        for number, (piece, is_last) in enumerate(_pieces(file, piece_bytes), 1):
            seen.update(piece)
            read_bytes += len(piece)
            waiting += channel.feed(piece, None)
            if is_last:
                waiting += channel.finish(None)
            elif number % pieces_committed:
                continue
            with self._store.transaction():
                before = self._ledger.last_ids()
                arrivals = []
                if import_id is None:
                    named = as_recorded(path)
                    identity = Identity(named.name, named.parent.name)
                    import_id = self._ledger.begin(identity, head, report.kind, self._now_ns)
                    report.import_ids.add(import_id)
                    arrivals += self._tuning(about, import_id)
                arrivals += self._new_ones(waiting, about, import_id, known, report)
                rows = self._store.row_maker.rows(arrivals)
                self._store.insert(rows)
                self._ledger.claim_rows(import_id, rows, before)
                self._ledger.advance(
                    import_id, read_bytes, seen.hexdigest(), None, is_complete=is_last
                )
            report.outcome.rows += Counter({table: len(each) for table, each in rows.items()})
            waiting = []
            self._on_progress(read_bytes)
        if read_bytes % frame_bytes(link):
            report.notes.append("ends within a sample, which was left out")

    def _tuning(self, about: SampleFile, import_id: int) -> list[Arrival]:
        """Return the frequency as a row, for the search for coded IDs in imported pulses."""
        link = about.link
        if link.hears != "coded-id":
            return []
        tuned = Setting(name="frequency", value=f"{link.channel_hz / 1e6:g}")
        return [Arrival(tuned, self._source(link, import_id), self._stamp(about, 0.0))]

    def _new_ones(
        self,
        caught: Sequence[Caught],
        about: SampleFile,
        import_id: int,
        known: "_Known",
        report: FileReport,
    ) -> list[Arrival]:
        source = self._source(about.link, import_id)
        arrivals = []
        for each in caught:
            is_packet = isinstance(each.record, Detection)
            stamp = self._stamp(about, each.end if is_packet else each.first)
            arrival = Arrival(each.record, source, stamp)
            if known.has(arrival):
                report.already_there += 1
            else:
                arrivals.append(arrival)
        return arrivals

    def _source(self, link: SoftwareRadioLink, import_id: int) -> Source:
        return Source(
            link=link.name,
            decoder=f"{link.decoder}/{DECODER_VERSION}",
            antenna=link.antenna,
            import_id=import_id,
        )

    def _stamp(self, about: SampleFile, sample: float) -> Stamp:
        utc_ns = about.start_ns + round(sample * _NS_PER_S / about.link.rate_hz)
        clock: ClockQuality = "file" if about.is_synchronised else "unsynchronised"
        if not is_plausible(utc_ns, now_ns=self._now_ns):
            clock = "implausible"
        return Stamp(utc_ns, clock)


class _Known:
    """What is stored already of a file's earlier imports."""

    def __init__(self, connection: sqlite3.Connection, import_ids: set[int]) -> None:
        self._times: dict[str, list[int]] = {}
        for import_id in import_ids:
            for tag_id, utc_ns in connection.execute(
                "SELECT texts.text, utc_ns FROM detections JOIN texts ON texts.id = tag"
                " JOIN sources ON sources.id = source WHERE import_id = ?1"
                " UNION ALL SELECT '', utc_ns FROM pulses"
                " JOIN sources ON sources.id = source WHERE import_id = ?1",
                (import_id,),
            ):
                insort(self._times.setdefault(tag_id, []), utc_ns)

    def has(self, arrival: Arrival) -> bool:
        """Tell whether this one is there; each that is stored answers for one."""
        record = arrival.record
        tag_id = record.tag_id if isinstance(record, Detection) else ""
        times = self._times.get(tag_id, [])
        place = bisect_left(times, arrival.stamp.utc_ns - _SAME_NS)
        if place == len(times) or times[place] > arrival.stamp.utc_ns + _SAME_NS:
            return False
        del times[place]
        return True


def _head_of(file: BinaryIO) -> str | None:
    """Return the mark of a file's first samples, None where it has none."""
    head = file.read(_HEAD_BYTES)
    if not head:
        return None
    seen = hashlib.sha256(head)
    if len(set(head)) < _LEAST_DISTINCT:
        while piece := file.read(_HEAD_BYTES):
            seen.update(piece)
    return seen.hexdigest()


def _begins_with(file: BinaryIO, entry: Entry) -> bool:
    """Tell whether an import was of this very content, or of a longer one that begins with it."""
    file.seek(0, 2)
    size_bytes = file.tell()
    if size_bytes > entry.size_bytes:
        return False
    if size_bytes < entry.size_bytes:
        return True
    file.seek(0)
    seen = hashlib.sha256()
    while piece := file.read(_HEAD_BYTES):
        seen.update(piece)
    return seen.hexdigest() == entry.sha256


def _pieces(file: BinaryIO, piece_bytes: int) -> Iterator[tuple[bytes, bool]]:
    """Yield a file in pieces, and with each whether it is the last."""
    piece = file.read(piece_bytes)
    while piece:
        following = file.read(piece_bytes)
        yield piece, not following
        piece = following
