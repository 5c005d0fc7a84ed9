"""Every bound of the daemon, with the arithmetic beside it.

What a bound cost is counted under the name that its comment gives.
"""

from typing import Final

MAX_WAITING_ROWS: Final = 50_000
"""Rows heard but not yet in the store. A row waiting costs about 300 bytes, so 15 MB; at a busy
site's 5 rows/s the disk may be away for nearly three hours. Beyond it new rows are dropped and
counted as `store_backlog`."""

MAX_BATCH_ROWS: Final = 5_000
"""A batch is committed before its interval ends when it holds this many rows: at 4,200 rows/s
(twelve saturated radios) a 2 s interval holds 8,400, and 5,000 rows take about 40 ms to write."""

UNKNOWN_FRAME_SAMPLES_PER_HOUR: Final = 60
"""Unknown frames kept as rows for each link and reason in an hour; the rest are only counted.
60 of 300 bytes for each of 12 links and 4 reasons is 0.9 MB an hour at the very worst."""

MAX_UNKNOWN_FRAMES: Final = 20_000
"""Rows of `unknown_frames`; beyond it the oldest go. At 300 bytes each that is 6 MB."""

MAX_RAW_BYTES: Final = 4096
"""Longest raw frame kept in a row: a serial line at most (`protocols.framing.MAX_LINE_BYTES`). An
MQTT message that is longer is kept cut, and counted as `raw_cut`."""

INTERNED_TEXTS_CACHED: Final = 20_000
"""Texts whose row numbers are remembered: about 150 bytes each, so 3 MB. A noisy year at one site
gave about 1,800 different tag ids; beyond the bound the store is asked again."""

ROW_TEMPLATES_CACHED: Final = 4_096
"""Prepared rows of repeated packets: 60 tags at 60 levels each; about 400 bytes, so 1.6 MB."""

READ_CHUNK_BYTES: Final = 4096
"""One read from a serial port: the kernel's tty buffer is 4 KiB."""

LONGEST_LOOP_STALL_S: Final = 0.05
"""The loop never blocks for longer: a 4 KiB tty buffer fills in 0.35 s at 115,200 baud, and one
stall must leave room for the next."""

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

STORE_RETRY_FIRST_S: Final = 1.0
STORE_RETRY_LONGEST_S: Final = 30.0
"""Back-off of the writer while the disk is full or failing."""

DRAIN_S: Final = 8.0
"""How long SIGTERM may take to put what was heard into the store; systemd is told 10 s."""
