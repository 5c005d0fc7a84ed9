"""Every bound of the daemon, with the arithmetic beside it, in the order of the house.

What a bound cost is counted under the name that its comment gives.
"""

from typing import Final

# From hearing to the disk

MAX_WAITING_ROWS: Final = 50_000
"""Rows heard but not yet in the store. A row waiting costs about 300 bytes, so 15 MB; at a busy
site's 5 rows/s the disk may be away for nearly three hours. Beyond it new rows are dropped and
counted as `store_backlog`."""

MAX_BATCH_ROWS: Final = 5_000
"""A batch is committed before its interval ends when it holds this many rows: at 4,200 rows/s
(twelve saturated radios) a 2 s interval holds 8,400, and 5,000 rows take about 40 ms to write."""

COMMIT_TIME_PART: Final = 0.125
"""The part of `store.commit_interval` that writing and syncing may take: a commit begins so much
before the interval is over. An eighth of 2 s is 250 ms, a slow sync of an SD card."""

UNKNOWN_FRAME_SAMPLES_PER_HOUR: Final = 60
"""Unknown frames kept as rows for each link and reason in an hour; the rest are only counted.
60 of 300 bytes for each of 12 links and 4 reasons is 0.9 MB an hour at the very worst."""

MAX_RAW_BYTES: Final = 4096
"""Longest raw frame kept in a row: a serial line at most (`protocols.framing.MAX_LINE_BYTES`). An
MQTT message that is longer is kept cut, and counted as `raw_cut`."""

LONGEST_LOOP_STALL_S: Final = 0.05
"""The loop never blocks for longer: a 4 KiB tty buffer fills in 0.35 s at 115,200 baud, and one
stall must leave room for the next."""

DRAIN_S: Final = 8.0
"""How long SIGTERM may take to put what was heard into the store; systemd is told 10 s."""

MAX_WAITING_RAW_BYTES: Final = 16 * 1024 * 1024
"""Raw bytes of the rows that wait: 50,000 lines of 300 bytes fit; long messages reach it sooner."""

FIRST_DETECTIONS_LOGGED_PER_MINUTE: Final = 30
"""Log lines for tags not heard before; beyond it, as at a noisy site, the minute's summary counts
them."""

TAGS_REMEMBERED: Final = 20_000
"""Tags that count as heard before since the start: 100 bytes each, 2 MB; then it begins anew."""

ACTIVITY_INTERVAL_S: Final = 300.0
"""How often the hour's `activity` rows are brought up to date: a power cut takes at most five
minutes of listening time, and twelve rows an hour cost 50 kB of writes."""

TICK_S: Final = 10.0
"""How often the daemon looks at itself where systemd wants to know; else once a minute."""

WRITER_STUCK_S: Final = 90.0
"""A writer thread with rows waiting that neither wrote nor failed for this long hangs: a lock may
hold it for 30 s, a check of the store 10 s, a retry comes after 30 s at most."""

POSITION_STATED_EVERY_S: Final = 86_400.0
"""How often the configured position is put into the store again, so that retention, which deletes
the oldest rows, leaves one."""

DECODE_WINDOW_FRAMES: Final = 50
"""Frames over which it is judged whether a link still decodes: below a minute of a busy radio, an
hour of a quiet one."""

ANTENNAS_TOLD: Final = 64
"""Antennas of one link that are counted one by one; no link has more than 16 radios, yet garbled
lines may name any. What is beyond counts together."""

# The store

MAX_UNKNOWN_FRAMES: Final = 20_000
"""Rows of `unknown_frames`; beyond it the oldest go. At 300 bytes each that is 6 MB."""

INTERNED_TEXTS_CACHED: Final = 20_000
"""Texts whose row numbers are remembered: about 150 bytes each, so 3 MB. A noisy year at one site
gave about 1,800 different tag ids; beyond the bound the store is asked again."""

ROW_TEMPLATES_CACHED: Final = 4_096
"""Prepared rows of repeated packets: 60 tags at 60 levels each; about 400 bytes, so 1.6 MB."""

STORE_RETRY_FIRST_S: Final = 1.0
STORE_RETRY_LONGEST_S: Final = 30.0
"""Back-off of the writer while the disk is full or failing."""

STORE_IO_FAILURES: Final = 5
"""Input and output errors in a row after which a store that could not be written is set aside and
a new one begun on another place of the disk: with the back-off, after 15 s."""

STORE_RESERVE_BYTES: Final = 8 * 1024 * 1024
"""Space kept for the day the disk is full. It must hold the log and its way into the file: 2.1 MB
of log at a checkpoint, 3 MB of the largest import block."""

PRUNE_CHUNK_ROWS: Final = 500
"""Rows deleted in one transaction: about 90 pages, 1 ms on a PC and 20 ms on a Pi Zero."""

PRUNE_S: Final = 0.05
"""How long deletions go on while rows wait to be written: 25,000 rows on a PC, a thousand on a Pi
Zero, more than came in."""

PRUNE_BELOW: Final = 0.98
"""Deletions that begin at the bound, or on a full disk, go on to this part of what there is, so
that they come in few bouts."""

FULL_DISK_ROWS: Final = 250
"""A batch that finds no room is halved down to this, so that little room takes what it can."""

STORE_CHECK_S: Final = 10.0
"""How long the check of the store may take at start: SQLite reads about 100 MB/s from an SD card's
cache and 20 MB/s from the card, so 200 MB, ten million detections, are checked whole."""

RUN_INDEX_INTERVAL_S: Final = 60.0
"""How often new detections are sorted into runs: one more synced transaction a minute, 2 % of what
a commit every two seconds writes."""

REDECODE_CHUNK_ROWS: Final = 500
"""Rows read again in one transaction: decoding takes 10 to 50 µs each, so the daemon waits for the
write lock for 25 ms at most on a PC, some 0.3 s on a Pi Zero."""

# Runs, and tags that are found in pulses

OPEN_RUNS: Final = 10_000
"""Runs that are open at once, and tags remembered for judging them: 1.2 kB a pair, 12 MB as
measured with that many ids of noise. An awful site makes ten false ids a second, 6,000 in the ten
minutes that a run stays open; beyond the bound the run silent for longest ends."""

STRONG_TAGS: Final = 400
"""Tags with which rare ids are compared: 0.2 µs each, so 80 µs for a verdict at the most."""

PULSES_WAITING_TO_BE_SEARCHED: Final = 20_000
"""VHF pulses heard but not yet searched for coded IDs: about 600 bytes each, 12 MB. Eight antennas
at 400 pulses a second fill it in six seconds of a processor that is busy with something else;
beyond it pulses are stored and counted as `pulses_not_searched`."""

CODED_ID_SLICE_S: Final = 0.005
"""How long the search for coded IDs may hold the loop: a tenth of `LONGEST_LOOP_STALL_S`. It looks
at the time after 16 pulses, 0.1 ms each at the worst on a PC and some 2 ms on a Pi Zero."""

ANTENNAS_SEARCHED: Final = 64
"""Antennas whose pulses are searched for coded IDs; no station has more than 16, yet garbled lines
may name any port. Each holds up to 1000 lone bursts of 2 kB and a second of pulses: 3 MB."""

# Imports and recordings

MAX_RECORDING_LINE_BYTES: Final = 64 * 1024
"""One line of a recording: a chunk of 4 KiB takes 8.3 kB in hex."""

IMPORT_BLOCK_BYTES: Final = 1024 * 1024
"""What an import reads, converts and commits at once: some 28,000 tag lines, whose rows take 10 MB
of memory and hold the store's write lock for 0.1 s on a PC, a second on a Pi Zero."""

IMPORT_LONGEST_LINE_BYTES: Final = 64 * 1024
"""A longer line of an imported file is skipped and reported. The longest known, a message in a
CTT station's log, is about 2 kB; a block of zeros after a power cut may have megabytes."""

UNPACKED_ALWAYS_BYTES: Final = 64 * 1024 * 1024
UNPACKED_RATIO: Final = 100
"""A gzip file may unpack to 64 MiB, or to 100 times its size if that is more. Recordings pack 5:1
to 40:1; a card file full of zeros (25 MB, 1000:1) still passes; a bomb ends here and is told."""

UNKNOWN_LINES_KEPT_PER_FILE: Final = 60
"""Unreadable lines of an imported file that are kept as rows, for each reason; the rest are only
counted. One file can then not push everything else out of `unknown_frames`."""

IMPORT_TEMPLATES: Final = 20_000
"""Prepared rows of tag lines that repeat in an imported file: 60 tags at 60 levels on 5 ports;
about 300 bytes each, so 6 MB."""

# Links

READ_CHUNK_BYTES: Final = 4096
"""One read from a serial port: the kernel's tty buffer is 4 KiB."""

MAX_MQTT_PAYLOAD_BYTES: Final = 256 * 1024
"""A longer message is acknowledged, counted as `message_too_long` and not decoded. The longest
real one, a LoRaWAN uplink heard by 20 gateways, is about 12 kB."""

MQTT_COMMIT_DELAY_S: Final = 0.05
"""How long a batch waits when a broker waits for its acknowledgement. mosquitto keeps 20 messages
in flight, so 20 / 0.05 s = 400 messages/s pass at the least."""

SERIAL_REOPEN_FIRST_S: Final = 1.0
SERIAL_REOPEN_LONGEST_S: Final = 60.0
HEALTHY_AFTER_S: Final = 60.0
"""Back-off of links: doubled from the first delay to the longest, with jitter; the delay is reset
only after a link worked for this long."""

LINK_QUIET_AFTER_S: Final = 300.0
"""A link that decoded nothing for this long is `quiet`: nodes report every few minutes, tags that
are near every few seconds."""

MAX_SERIAL_WRITE_BYTES: Final = 4096
"""Bytes waiting for a port that does not take them: commands are 9 to 16 bytes, replies to a
station link 30, so more than a hundred of them. More means that the radio hangs."""

SERIAL_WRITE_STALL_S: Final = 5.0
"""A port that took none of the waiting bytes for this long hangs: at 115,200 baud they are through
in 0.4 s."""

MQTT_KEEPALIVE_S: Final = 15
"""A ping after this long without traffic; a broker that leaves one unanswered as long again is
lost, so a frozen broker is noticed within 30 s. Two bytes each way, with the headers and
acknowledgements of TCP/IP about 170, so 1 MB a day over a mobile connection."""

MQTT_TIMEOUT_S: Final = 10.0
"""How long a broker may take over an answer: some round trips of a poor mobile connection."""

MQTT_SETTLE_S: Final = 1.0
"""How long a link that is stopped waits to acknowledge what is being committed
(`MQTT_COMMIT_DELAY_S` and one slow sync); what is left comes again at the next start."""

SILENT_RESET_S: Final = 180.0
"""A radio silent for this long is reset on USB: its port was opened again two or three times."""

SILENT_ALARM_S: Final = 300.0
"""A radio still silent by then needs somebody to come: two minutes after its reset."""

SILENT_REOPEN_S: Final = 60.0
"""A link of which nothing is heard that should be is opened again this often."""

SILENT_AGAIN_S: Final = 3600.0
"""A radio that stays silent is reset again this often: nobody may come for months, and what a reset
did not mend, a warmer day may."""

LINK_STOP_S: Final = 3.0
"""How long a link may take to stop: an MQTT link settles for `MQTT_SETTLE_S`, closing a port takes
a moment. What takes longer is left behind, so that SIGTERM keeps its ten seconds."""

# Receivers of the station link

STATION_LINK_TIME_S: Final = 10.0
"""How often a receiver is sent a TIME token: 26 bytes, 0.03 % of a line at 115,200 baud. Its clock
is then within a millisecond after half an hour."""

STATION_LINK_MQTT_TIME_S: Final = 60.0
"""The same over MQTT, where a token and its echo cost about 300 bytes: 0.4 MB a day over a mobile
connection."""

STATION_LINK_UNANSWERED: Final = 3
"""Tokens in a row without an echo that mean something is wrong with a receiver."""

STATION_LINK_GAP_S: Final = 30.0
"""How long an acknowledgement waits for a frame that was lost on the way: a receiver that buffers
sends again within seconds, one that does not must not have its buffer fill up."""

STATION_LINK_RECEIVERS: Final = 256
"""Receivers remembered behind one MQTT link, at up to 100 kB each: 25 MB at the very most. Beyond
it the one silent for longest is forgotten, and counted as `receivers_forgotten`."""

# Software radios

RADIO_BLOCK_S: Final = 0.25
"""Samples of a software radio are looked at in blocks of so much: four wake-ups a second, and
transforms long enough to be cheap."""

RADIO_WAITING_S: Final = 8.0
RADIO_WAITING_BYTES: Final = 32 * 1024 * 1024
"""Samples that wait for the processor, 4 MB of a stick at 250,000 a second; beyond it the oldest
are dropped and counted as `samples_dropped`."""

RADIO_THIN_S: Final = 1.5
"""With so much waiting the processor does not keep up, and fewer frequencies are listened to: a
stick hands over half a second at a time, so that up to that is always waiting."""

RADIO_DROP_S: Final = 4.0
"""With so much waiting though the fewest frequencies are listened to, samples are dropped."""

RADIO_LEVEL_S: Final = 5.0
"""How often a worker tells noise and counters: its sign of life."""

RADIO_LEVEL_STORED_S: Final = 300.0
"""How often one of these becomes a row: 100 bytes, 30 kB a day."""

RADIO_WORKER_SILENT_S: Final = 30.0
"""A worker that told nothing for so long hangs: six signs of life are missing. numpy alone takes
5 s to load from an SD card."""

RADIO_WORKER_STOP_S: Final = 2.0
"""What a worker may take to tell its last packets; less than `LINK_STOP_S`."""

RADIO_STALL_S: Final = 5.0
"""A stick or pipe that gave no sample for so long: a stick has some twice a second."""

RADIO_CONNECT_S: Final = 10.0
"""How long rtl_tcp may take to accept a connection; it is on this machine or this network."""

RADIO_NICE: Final = 5
"""The worker gives way to the daemon: samples can wait for seconds, a serial port cannot."""

RADIO_KNOWN_TAGS_S: Final = 60.0
"""How often the lists of known tags are looked at again for a worker."""

RADIO_KEPT_FILE_S: Final = 20.0
"""The longest file of samples around packets that follow each other: 10 MB at 250,000 a second."""

# gpsd and chrony

GPSD_TIMEOUT_S: Final = 10.0
"""How long gpsd may take to accept a connection; it is on this machine or this network."""

GPSD_SILENT_AFTER_S: Final = 60.0
"""A gpsd that said nothing for this long is asked, and left when it is silent as long again."""

CHRONY_INTERVAL_S: Final = 60.0
"""How often chrony is asked: one process of 5 ms each time, 0.01 % of a core."""

CHRONY_TIMEOUT_S: Final = 5.0
"""How long chronyc may take: it gives up by itself after about 3 s."""

# Sinks and collectors

SINK_BATCH_BYTES: Final = 1024 * 1024
"""A batch before compression: some 3,000 detections of 330 bytes. It takes 10 ms to compress on a
PC, 0.3 s on a Pi Zero, in a thread; compressed it is under 100 kB, 10 s at 9.6 kB/s of 2G."""

SINK_READ_CHUNK_ROWS: Final = 500
"""Rows read from the store before the bytes so far are looked at: with raw frames of 4 KiB as hex,
4 MB at the very worst."""

SINK_RETRY_FIRST_S: Final = 5.0
SINK_RETRY_LONGEST_S: Final = 900.0
"""Back-off of sinks, with the links' policy: a far end that is away for a month is asked 3,000
times, at 1 kB each 3 MB. An outage ends within a quarter of an hour of the far end's return."""

SINK_RETRY_AFTER_LONGEST_S: Final = 6 * 3600.0
"""The longest that a far end's own wish to be left alone (Retry-After) is heeded."""

SINK_REQUEST_OVERHEAD_BYTES: Final = 1_000
"""What a batch costs beside its body, as the daily bound counts: headers, answer, TCP and a share
of the TLS handshake (about 5 kB each time a connection is made)."""

SINK_SUSPECTS: Final = 32
"""Refused rows that are followed one by one; then the tries leap, to see whether the far end takes
anything at all, and may leap over the good ones among scattered bad ones. 32 tries of one row cost
some 40 kB."""

SINK_CONFIRM_S: Final = 30.0
"""How long a broker may take over a publication before the connection counts as lost."""

LIVE_ROWS_PER_LOOK: Final = 50
"""Detections published on the live feed every second at most; it is for eyes, so what is more is
left out (the batches have everything)."""

MAX_BATCH_BYTES: Final = 4 * 1024 * 1024
MAX_BATCH_UNPACKED_BYTES: Final = 64 * 1024 * 1024
"""A collector takes no larger batch, packed and unpacked: sixteen times what a station makes by
default. With MQTT_BATCHES_IN_FLIGHT of them in memory a collector stays under 0.6 GB whatever
stations send."""

MQTT_BATCHES_IN_FLIGHT: Final = 8
"""Batches that a broker may hand to a collector before it acknowledged the first."""

TWO_STORES_WINDOW_S: Final = 48 * 3600.0
"""Two stores of one station that take turns within this time are two machines with one name."""

MQTT_SINK_KEEPALIVE_S: Final = 300
"""A sink's ping: 170 bytes with TCP/IP, so 50 kB a day over a mobile connection. A station that
vanished counts as offline 7.5 minutes later; a dead connection shows at the next batch anyway."""

STATUS_EVERY_S: Final = 300.0
"""How often a sink's retained status is brought up to date: 150 bytes, so 43 kB a day."""

# Health and alarms

HEALTH_EVERY_S: Final = 60.0
"""How often the computer, the disk and the store are looked at: a dozen small files and the ends of
a few tables, 3 ms of a thread on a PC, 0.1 % of a Pi Zero's core at the very worst."""

HOST_ROW_EVERY_S: Final = 600.0
"""How often the computer's own readings become a row: 144 of about 330 bytes a day, 48 kB."""

ACTIVITY_ROWS_TOLD: Final = 24 * ANTENNAS_TOLD * 12
"""Hours of antennas that status looks at: a day of twelve links at that bound."""

TAGS_TOLD_PER_ANTENNA: Final = 1_000
"""Tags of the last hour told apart at each antenna: 100 bytes each, 6 MB for 64 antennas."""

HEARD_ROWS_PER_LOOK: Final = 300_000
"""Newest detections looked at each minute: all that twelve saturated radios hear (4,200 a second),
0.2 s of a thread on a PC. A usual site's 300 take nothing."""

BEACON_ROWS_PER_STEP: Final = 50_000
BEACON_ROWS_LOOKED_BACK: Final = 1_000_000
"""Detections searched for a beacon once after a start, the newest first: 0.3 s of a thread on a PC,
some 5 s on a Pi Zero. At a busy site's 5 rows a second they reach back for two days."""

EVENTS_LOOKED_BACK: Final = 200_000
"""Events searched once after a start for what the station noted of itself: 0.1 s on a PC. With six
radios that report every minute they reach back for three weeks."""

TAG_NAMES: Final = 20_000
"""Names that an owner may give to tags: about 200 bytes each, 4 MB."""

LINK_DOWN_ALARM_S: Final = SILENT_ALARM_S
"""A link that cannot be opened for so long needs somebody to come, like a radio that is silent."""

STORE_FAILING_ALARM_S: Final = 30.0
"""A store that cannot be written for so long is an alarm; an import or a backup that holds it for a
moment is none."""

UNDERVOLTAGE_KEPT_S: Final = 600.0
"""A supply that sagged is looked upon as too weak for so long: dips last for a moment."""

UNKNOWN_RISE_WINDOW_S: Final = 600.0
UNKNOWN_RISE_LEAST: Final = 60
UNKNOWN_RISE_FACTOR: Final = 5.0
"""Unknown frames of a link in ten minutes that are an alarm: one every ten seconds, and five times
what the last day had."""

ALARM_OVER_AFTER_S: Final = 60.0
ALARM_OVER_LONGEST_S: Final = 3600.0
ALARM_FLAPS_WITHIN_S: Final = 6 * 3600.0
"""An alarm is over when its cause was away for a minute; for each time that it came back within six
hours it takes twice as long, an hour at most. What comes back every ten minutes is then told twenty
times a day, not 140 times."""

WEBHOOK_WAITING: Final = 256
"""Messages that wait for the webhook: 500 bytes each. Beyond it the oldest go, and are counted."""

WEBHOOK_TIMEOUT_S: Final = 30.0
"""How long a webhook may take to answer."""

# The page, and what is kept for eyes

LIVE_PLACES: Final = 256
"""Antennas of which the newest detection is kept for eyes: no station has as many, yet garbled
lines may name any. 600 bytes each; beyond it they are learnt anew."""

LIVE_DETECTIONS_KEPT: Final = 1_000
"""Newest detections kept for eyes: about 600 bytes each with their packet, so 0.6 MB. Twelve
saturated radios fill it in a quarter of a second, a usual site in minutes; a page that looks four
times a second misses nothing below that."""

LOG_LINES_KEPT: Final = 500
"""Newest log lines kept for the page: about 300 bytes each, 2 kB at most (`escaped` cuts), so 1 MB
at the very worst."""

LIVE_EVENT_ROWS: Final = 100
"""Detections in one event of the page's stream, the newest of them: at four events a second more
than eyes follow. Telling and encoding one takes 10 µs on a PC, so 1 ms of the loop, 10 on a Pi."""

PAGE_CONNECTIONS: Final = 96
"""Connections to the page at once; a browser opens six. Beyond it new ones are closed at once. Each
may make the station hold 8 kB of headers and 64 kB of body: 7 MB at the very worst."""

PAGE_STREAMS: Final = 32
"""Streams of live events at once: phones and desks that look; each costs 20 kB. The next one is
answered with 503. Commands on the station itself have as many again."""

PAGE_REQUEST_BYTES: Final = 64 * 1024
"""The longest body of a request to the page; the longest real one, a step of commissioning, is
about 2 kB."""

PAGE_HEADER_BYTES: Final = 4096
"""The longest request line, and the longest header: a cookie takes 70 bytes."""

PAGE_IDLE_S: Final = 30.0
"""A connection that asks nothing for this long, or takes as long over its headers, is closed."""

PAGE_SLOW_S: Final = 30.0
"""How long a client may take over the body of its request, or over taking 64 kB of an answer: a
phone at 2 kB/s just does it."""

PAGE_CLOSE_S: Final = 1.0
"""How long answers under way may take when the daemon stops; streams end at once."""

PAGE_PORT_RETRY_FIRST_S: Final = 5.0
PAGE_PORT_RETRY_LONGEST_S: Final = 300.0
"""Back-off of a page whose port or address cannot be had."""

PAGE_SESSIONS: Final = 64
"""People logged in to the page at once; the one idle for longest makes room. 300 bytes each."""

PAGE_SESSION_IDLE_S: Final = 2 * 3600.0
PAGE_SESSION_LONGEST_S: Final = 24 * 3600.0
"""A session ends when it was not used for two hours, and after a day in any case: a visit to a
station with a phone, not a subscription."""

LOGIN_FREE_TRIES: Final = 5
LOGIN_WAIT_FIRST_S: Final = 30.0
LOGIN_WAIT_LONGEST_S: Final = 900.0
"""After five wrong passwords an address waits half a minute, doubled by each further one up to a
quarter of an hour: 100 guesses a day."""

LOGIN_FREE_TRIES_IN_TOTAL: Final = 50
"""Wrong passwords from all addresses after which everybody waits in the same way: whoever has many
addresses guesses no faster."""

LOGIN_FORGOTTEN_S: Final = 3600.0
"""Wrong passwords are forgotten when none came for this long."""

LOGIN_ADDRESSES: Final = 256
"""Addresses whose wrong passwords are remembered, 200 bytes each; an IPv6 network counts as one.
Beyond it the oldest is forgotten; the bound in total holds on."""

PLOTS_CHUNK_ROWS: Final = 20_000
"""Rows counted for the plots in one transaction: 2 MB of memory, 0.1 s on a PC; so long a reader
keeps the store's log from being moved into its file."""

PLOTS_QUARTERS_KEPT_S: Final = 40 * 86_400
PLOTS_HOURS_KEPT_S: Final = 800 * 86_400
"""How far back plots have quarters of an hour, and hours: 30 tags on 3 antennas make 90 rows of 20
bytes each time, so 7 MB of quarters and 35 MB of hours."""

PLOTS_MINUTE_BLOCKS: Final = 200
"""Blocks of 4,096 rows that are read for an hour in minutes: 820,000 rows, a second on a PC. A
station that hears more in an hour is shown by the quarter."""

PLOTS_LEAVE_FREE_BYTES: Final = 64 * 1024 * 1024
"""Space on the disk below which there are no plots: what is left is for detections."""

PLOTS_WAIT_S: Final = 10.0
"""How long a question waits for plots that are being made; then it is answered how far they are. A
week of 600,000 detections takes some seconds on a PC, a minute on a Pi Zero."""

PAGE_RESTS_AFTER_S: Final = 120.0
"""So long after the last plot or download memory is given back and the plots' file is closed, which
syncs: a page that shows plots asks for them once a minute."""

PAGE_DOWNLOADS: Final = 3
"""Downloads at once; each has a thread and 64 kB. The next one is answered with 503."""

PAGE_CHUNK_BYTES: Final = 64 * 1024
"""A piece of a download: what waits in memory for a slow phone."""

PAGE_CHUNK_S: Final = 0.5
"""A piece ends after this long also where nothing was found for it: whether somebody still waits is
looked at between two pieces."""

PAGE_FILES_LISTED: Final = 200
"""Files of each folder that are offered, the newest: a folder sink writes one an hour."""

WALKS: Final = 8
"""Walk tests at once, one for each tag; the oldest ends."""

WALK_ENDS_AFTER_S: Final = 3600.0
"""A walk test without a mark for this long is over."""
