"""What the station itself has to say, into the store: where it is, what its health notes."""

from protocols.gpsd import DECODER as GPSD_DECODER
from protocols.records import GpsFix, Record
from receiver.activity import LinkActivity
from receiver.arrivals import Source
from receiver.clock import Clock
from receiver.limits import POSITION_STATED_EVERY_S
from receiver.links.intake import LinkStatus
from receiver.pipeline import Pipeline
from receiver.settings import StationSettings
from receiver.whereabouts import GPSD_LINK, STATION_LINK

_CONFIGURATION_DECODER = "configuration/1"


class OwnRecords:
    """Stamps them and gives them to the pipeline; they count for no link and in no hour."""

    def __init__(self, clock: Clock, pipeline: Pipeline) -> None:
        self._clock = clock
        self._pipeline = pipeline
        self._activity = LinkActivity(LinkStatus(STATION_LINK), iter([None]))
        self._position_stated_at_s = 0.0

    def keep(self, record: Record, source: Source) -> None:
        """Store a record as of now."""
        self._pipeline.take([record], source, self._clock.stamp(), self._activity)

    def keep_gpsd_fix(self, fix: GpsFix) -> None:
        """Store what gpsd said."""
        self.keep(fix, Source(link=GPSD_LINK, decoder=GPSD_DECODER))

    def state_position(self, station: StationSettings, now_s: float) -> None:
        """Put the configured position, or that there is none, into the store.

        Rows take their position from it: see `receiver.whereabouts`.
        """
        self._position_stated_at_s = now_s
        self.keep(
            GpsFix(latitude=station.latitude, longitude=station.longitude),
            Source(link=STATION_LINK, decoder=_CONFIGURATION_DECODER),
        )

    def look(self, station: StationSettings, now_s: float) -> None:
        """State the position again where that is due; `now_s` is of the same clock."""
        if now_s - self._position_stated_at_s >= POSITION_STATED_EVERY_S:
            self.state_position(station, now_s)
