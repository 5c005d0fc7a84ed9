"""The values that tell how a station is at one moment; their names are those of the JSON.

The daemon makes a `StationSnapshot`; the page, `stopover status --json`, the alarms and the metrics
read it. Times are ISO 8601 UTC with Z. Absent is null.
"""

import msgspec


class AntennaSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What one antenna of one link hears."""

    link: str
    antenna: str | None
    """The owner's label; null where the link has none."""
    bearing_deg: float | None = None
    """Where it points, degrees clockwise from true north, as configured."""
    kind: str | None = None
    """`yagi`, `omni`…, as configured."""
    last_heard: str | None = None
    """When its newest detection since the start came."""
    last_tag_id: str | None = None
    last_tag_name: str | None = None
    last_rssi_dbm: float | None = None
    last_snr_db: float | None = None
    detections: int = 0
    """Since the start."""
    tags: int = 0
    """Different ids in the last hour, at most 1000 are told apart."""
    detections_by_hour: tuple[int, ...] = ()
    """Of the last 24 hours, the current one last; from `activity`."""
    listening_by_hour: tuple[float, ...] = ()
    """Part of each of those hours that it listened, 0 to 1."""
    frames: int = 0
    """In the current hour."""
    rejects: dict[str, int] = {}
    """In the current hour, by reason."""
    noise_dbm: float | None = None
    """As the radio last told it."""
    noise_dbfs: float | None = None
    """The same of a software radio, relative to its full scale at the gain that it has: in 250 kHz
    where it hears CTT tags, in the 400 Hz of a pulse where it hears coded IDs."""
    gain_db: float | None = None
    """Of a software radio's tuner; automatic gain goes down where the noise goes up."""


class LinkSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """How one link is."""

    name: str
    kind: str
    state: str
    """`starting`, `hearing`, `quiet`, `silent`, `failed`: see `receiver.links.intake.LinkState`."""
    reason: str | None = None
    firmware: str | None = None
    opened: int = 0
    last_heard_s: float | None = None
    """Seconds since anything arrived."""
    frames: int = 0
    """Since the start."""
    unknown_frames: int = 0
    """Since the start."""
    rejects: dict[str, int] = {}
    """Frames and rows that came to nothing since the start, by reason."""


class ClockSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """How far the station's time can be trusted."""

    time: str
    quality: str
    steps: int = 0
    gps: str | None = None
    """What gpsd says, in words."""


class StoreSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """How the store and its disk are."""

    path: str
    state: str
    """`opening`, `writing`, `disk-full`, `failing`."""
    store_uuid: str
    bytes: int
    free_bytes: int
    disk_bytes: int
    bytes_per_day: float | None = None
    """How fast the store grew in the last day; null before an hour has passed."""
    days_left: float | None = None
    """Until the disk is full at this rate."""
    detections: int = 0
    """Rows in the store."""
    waiting_rows: int = 0
    """Heard, not yet on the disk."""
    dropped_rows: int = 0
    """Since the start: found no room while the store was away."""
    rows_pruned: dict[str, dict[str, int]] = {}
    """By table: `acknowledged` and `unacknowledged` rows that were deleted."""
    reserve_bytes: int | None = None
    set_aside: tuple[str, ...] = ()
    """Damaged stores that were moved aside and still lie beside this one."""


class SinkSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """How one way out of the station is."""

    name: str
    kind: str
    state: str
    reason: str | None = None
    advice: str | None = None
    waiting_rows: int = 0
    oldest_waiting: str | None = None
    acknowledged_at: str | None = None
    rows_refused: int = 0
    is_paused: bool = False


class HostSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """How the computer is."""

    temperature_c: float | None = None
    voltage_v: float | None = None
    undervoltage: bool | None = None
    """Now."""
    undervoltage_since_boot: bool | None = None
    throttled: bool | None = None
    load_1min: float | None = None
    memory_free_bytes: int | None = None
    memory_bytes: int | None = None
    process_memory_bytes: int | None = None
    uptime_s: float | None = None
    disk_written_bytes: int | None = None
    """By everything on the store's disk, since the computer started."""
    disk_wear_percent: float | None = None
    """At most so much of its life, where the card tells: eMMC does, SD cards do not."""
    disk_end_of_life: str | None = None
    """`normal`, `warning` or `urgent`, by the card's spare blocks."""


class AlarmSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm that is on."""

    alarm: str
    """`radio-silent`, `beacon-missing`, `clock-lost`, `disk-low`, `disk-full`, `backlog-growing`,
    `undervoltage`, `unknown-frames-rising`, `unreadable-link`, `store-failing`, `standstill`."""
    subject: str
    """Link, beacon, sink or disk that it is about; empty where it is the station."""
    since: str
    message: str
    do: str
    """What a technician does about it."""

    @property
    def words(self) -> str:
        """The alarm in a line, without the advice."""
        about = " ".join(filter(None, (self.alarm, self.subject)))
        return f"{about}: {self.message}"


class StationSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The whole station at one moment."""

    station: str
    version: str
    started: str
    uptime_s: float
    latitude: float | None = None
    longitude: float | None = None
    links: tuple[LinkSnapshot, ...] = ()
    antennas: tuple[AntennaSnapshot, ...] = ()
    clock: ClockSnapshot
    store: StoreSnapshot
    sinks: tuple[SinkSnapshot, ...] = ()
    host: HostSnapshot = HostSnapshot()
    alarms: tuple[AlarmSnapshot, ...] = ()
    detections: int = 0
    """Since the start."""
    detections_last_minute: int = 0
    pulses: int = 0
    unknown_frames: int = 0
    tags: int = 0
    """Different ids since the start."""
