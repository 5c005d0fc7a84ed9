"""A week's traffic at high speed: memory, descriptors and threads stay as they were.

One beep a second for a week, 604,800 lines on three ports, with garbage, wrong checksums and ids
that never come again among them; 4,000 lines a second, what twelve saturated radios print. (Without
that pace 200,000 a second come in, and all but 50,000 rows are dropped and counted as
`store_backlog`: the bound of memory, which is another test's.)
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from campaign_reports import write_report

from protocols.ctt.packet import build_packet, id_from_number
from receiver.store.queries import Reader

LINES = 604_800
PORTS = 3
LINES_A_WRITE = 40
"""About 700 bytes: a pseudo-terminal takes 4 KiB."""
LINES_PER_S = 4_000
HOURS = 168


class Look(msgspec.Struct, frozen=True):
    """What the kernel says of the station."""

    rss_mb: float
    descriptors: int
    threads: int


def look_at(pid: int) -> Look:
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    return Look(
        int(status["VmRSS"].split()[0]) / 1000,
        len(list(Path(f"/proc/{pid}/fd").iterdir())),
        int(status["Threads"]),
    )


def lines(dice: random.Random) -> Iterator[bytes]:
    tags = [build_packet(id_from_number(1_000 + number)).hex() for number in range(30)]
    for number in range(LINES):
        packet = dice.choice(tags)
        kind = dice.random()
        if kind < 0.02:  # noise that has the form of a packet
            packet = dice.randbytes(5).hex()
        if kind > 0.995:
            yield dice.randbytes(20).replace(b"\n", b"").replace(b"\r", b"") + b"\r\n"
        else:
            yield f"{packet},{-60 - number % 40}\r\n".encode()


@contextlib.contextmanager
def station(folder: Path, devices: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    links = "".join(
        f'[[links]]\nkind = "serial"\nname = "ch{place}"\ndevice = "{device}"\ntalk = "never"\n'
        for place, device in enumerate(devices)
    )
    config = folder / "stopover.toml"
    config.write_text(f'[store]\npath = "{folder / "week.db"}"\n{links}', encoding="utf-8")
    program = "from receiver.cli.main import main; main()"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", program, "run", "-c", str(config)], stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for_links(folder: Path) -> None:
    give_up_at = time.monotonic() + 30
    while (folder / "log").read_text().count("link open") < PORTS:
        assert time.monotonic() < give_up_at, (folder / "log").read_text()
        time.sleep(0.01)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_weeks_traffic_leaves_memory_descriptors_and_threads_as_they_were(
    tmp_path: Path,
) -> None:
    ends = [os.openpty() for _ in range(PORTS)]
    for _, port in ends:
        tty.setraw(port)
    looks: list[Look] = []
    begun_s = time.monotonic()
    with station(tmp_path, [os.ttyname(port) for _, port in ends]) as process:
        wait_for_links(tmp_path)
        waiting: list[bytes] = []
        started_s = time.monotonic()
        for number, line in enumerate(lines(random.Random(1)), 1):
            waiting.append(line)
            if len(waiting) == LINES_A_WRITE or number == LINES:
                ahead_s = started_s + number / LINES_PER_S - time.monotonic()
                if ahead_s > 0:
                    time.sleep(ahead_s)
                os.write(ends[number // LINES_A_WRITE % PORTS][0], b"".join(waiting))
                waiting.clear()
            if number % (LINES // 8) == 0:
                looks.append(look_at(process.pid))
        time.sleep(4)  # Two commits.
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    for pair in ends:
        for descriptor in pair:
            os.close(descriptor)
    with Reader(tmp_path / "week.db") as reader:
        counts = reader.counts()
    # The first half fills the caches that are bounded, those of the run index (a minute after the
    # start) among them; the second half has to stay flat.
    settled, last = looks[3], looks[-1]
    slope = (last.rss_mb - settled.rss_mb) / (HOURS / 2)
    write_report(
        "simulated-week",
        {
            "lines": LINES,
            "detections": counts["detections"],
            "rss_mb": ", ".join(f"{each.rss_mb:.1f}" for each in looks),
            "rss_growth_mb_a_simulated_hour": round(slope, 4),
            "rss_growth_mb_in_the_second_half": round(last.rss_mb - settled.rss_mb, 2),
            "descriptors": ", ".join(str(each.descriptors) for each in looks),
            "threads": ", ".join(str(each.threads) for each in looks),
            "duration_s": round(time.monotonic() - begun_s),
        },
    )
    assert counts["detections"] > 0.99 * LINES
    assert last.rss_mb - settled.rss_mb < 8
    assert {each.descriptors for each in looks[3:]} == {settled.descriptors}
    assert {each.threads for each in looks[3:]} == {settled.threads}
