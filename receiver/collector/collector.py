"""The collector: takes batches, one after the other, and says what became of each."""

import asyncio
import enum
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import structlog

from receiver.collector.rows import read
from receiver.collector.settings import DatabaseSettings, is_postgres
from receiver.collector.store import CollectorStore, DatabaseAwayError, Written
from receiver.limits import MAX_BATCH_BYTES, MAX_BATCH_UNPACKED_BYTES
from receiver.sinks.batches import BatchError, name_of

log = structlog.get_logger()

RETRY_AFTER_S = 10.0
"""When a station may try again while the database is away."""


class Outcome(enum.StrEnum):
    """What became of a batch."""

    STORED = "stored"
    REFUSED = "refused"
    """It will never do as it is."""
    TOO_LARGE = "too large"
    FORBIDDEN = "forbidden"
    """It is not the sender's station."""
    UNAVAILABLE = "unavailable"
    """Another time it may do."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the sender of a batch is told."""

    batch: str
    outcome: Outcome
    reason: str = ""
    rows: int = 0
    new: int = 0


class Collector:
    """Stores batches in a thread of its own, which alone uses the database."""

    def __init__(self, store: CollectorStore) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="collector")
        self.batches = 0
        self.rows = 0
        self.rows_new = 0
        self.refused = 0
        self.unavailable = 0
        self.conflicts: dict[str, set[str]] = {}
        """The stores of each station that more than one sends for at once."""
        self._told_away = False

    async def take(self, body: bytes, station_id: str | None = None) -> Verdict:
        """Store a batch, of this station if one is told; return after the commit."""
        name = name_of(body)
        if len(body) > MAX_BATCH_BYTES:
            self.refused += 1
            return Verdict(
                batch=name,
                outcome=Outcome.TOO_LARGE,
                reason=f"{len(body)} bytes are more than {MAX_BATCH_BYTES}",
            )
        loop = asyncio.get_running_loop()
        try:
            station, store_uuid, written = await loop.run_in_executor(
                self._thread, self._stored, body, station_id
            )
        except PermissionError as error:
            self.refused += 1
            log.warning("batch for another station refused", reason=str(error))
            return Verdict(batch=name, outcome=Outcome.FORBIDDEN, reason=str(error))
        except BatchError as error:
            self.refused += 1
            log.warning("batch refused", station=station_id, reason=str(error))
            return Verdict(batch=name, outcome=Outcome.REFUSED, reason=str(error))
        except DatabaseAwayError as error:
            self._is_away(error)
            return Verdict(batch=name, outcome=Outcome.UNAVAILABLE, reason="the database is away")
        self._note(station, store_uuid, written)
        return Verdict(batch=name, outcome=Outcome.STORED, rows=written.rows, new=written.new)

    def close(self) -> None:
        """Finish what is being stored and disconnect."""
        self._thread.submit(self._store.close)
        self._thread.shutdown(wait=True)

    def _stored(self, body: bytes, station_id: str | None) -> tuple[str, str, Written]:
        contents = read(body, MAX_BATCH_UNPACKED_BYTES)
        header = contents.header
        if station_id not in (None, header.station_id):
            raise PermissionError(f"{station_id} sent rows of {header.station_id}")
        return header.station_id, header.store_uuid, self._store.write(contents)

    def _note(self, station: str, store_uuid: str, written: Written) -> None:
        if self._told_away:
            self._told_away = False
            log.warning("database takes rows again")
        self.batches += 1
        self.rows += written.rows
        self.rows_new += written.new
        if written.other_store is None:
            return
        stores = self.conflicts.setdefault(station, set())
        if not {store_uuid, written.other_store} <= stores:
            stores |= {store_uuid, written.other_store}
            log.error(
                "one station id, two stores at once: is a card a copy of another's?",
                station=station,
                stores=sorted(stores),
                do="give one of the two stations another id, and a store of its own",
            )

    def _is_away(self, error: DatabaseAwayError) -> None:
        self.unavailable += 1
        if not self._told_away:
            self._told_away = True
            log.warning("database takes no rows; stations keep them", reason=str(error))


def opened(settings: DatabaseSettings) -> CollectorStore:
    """Return the database of its settings; it connects when the first batch comes."""
    if is_postgres(settings.url):
        from receiver.collector.postgres import PostgresStore  # noqa: PLC0415  Loaded where used.

        return PostgresStore(
            settings.url,
            password_file=settings.password_file,
            partitions=settings.partitions == "months",
        )
    from receiver.collector.sqlite import SqliteStore  # noqa: PLC0415  Same.

    return SqliteStore(Path(settings.url))
