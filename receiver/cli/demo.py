"""`stopover demo`: the main job without hardware."""

import asyncio
import sys
import tempfile
from pathlib import Path

import click

from receiver.cli.options import Number, explained, no_strangers

_SECONDS_WITHOUT_A_TERMINAL = 30.0
_PAGE_ADDRESS = "127.0.0.1"
_ANTENNAS = [
    {"name": "north", "bearing_deg": 0, "kind": "yagi"},
    {"name": "south", "bearing_deg": 180, "kind": "yagi"},
    {"name": "nodes", "kind": "omni"},
]
"""As the radios of the scenario have them, for the page's compass."""


@click.command("demo")
@click.option(
    "--duration",
    type=Number(min=0.1),
    help="Seconds to run; else until Ctrl-C, or 30 s without a terminal.",
)
@click.option(
    "--db",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=no_strangers,
    help="Keep the store here; else it is thrown away.",
)
@click.option(
    "--truth",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write what was really sent and received, one JSON object a line.",
)
@explained
def demo_command(duration: float | None, db: Path | None, truth: Path | None) -> None:
    """Run a whole station on simulated radios: real ports, real decoding, a real store.

    Example:  stopover demo --duration 10 --db demo.db
    """
    from receiver import log
    from receiver.store.errors import StoreError

    if duration is None and not sys.stdout.isatty():
        duration = _SECONDS_WITHOUT_A_TERMINAL
    log.configure("pretty", "info")
    with tempfile.TemporaryDirectory(prefix="stopover-demo-") as folder:
        store = db or Path(folder) / "demo.db"
        try:
            rows_lost = asyncio.run(_demo(store.absolute(), duration, truth))
        except OSError as error:
            raise click.ClickException(
                f"{error.filename or 'what is written'}: {error.strerror}"
            ) from error
        try:
            _tell(store, kept=db is not None)
        except StoreError:  # What was lost says more than a store that was never finished.
            if not rows_lost:
                raise
    if rows_lost:
        raise click.ClickException(f"{rows_lost} rows could not be kept: see the log")


async def _demo(store: Path, duration_s: float | None, truth: Path | None) -> int:
    import msgspec

    from receiver.daemon import Daemon
    from receiver.settings import Settings
    from simulator.demo import simulated_ports

    async with simulated_ports(truth=truth) as ports:
        links = [
            {
                "kind": "serial",
                "name": port.name,
                "device": port.device,
                "antenna": port.antenna,
                "preset": port.preset,
            }
            for port in ports
        ]
        tree = {
            "station": {"id": "demo"},
            "store": {"path": str(store), "commit_interval": 1.0},
            "page": {"address": _PAGE_ADDRESS, "port": _free_port()},
            "antennas": _ANTENNAS,
            "links": links,
        }
        daemon = Daemon(msgspec.convert(tree, Settings))
        if duration_s is not None:
            asyncio.get_running_loop().call_later(duration_s, daemon.stop)
        return await daemon.run()


def _free_port() -> int:
    """Return the page's usual port, another one where somebody has it."""
    import socket

    from receiver.watch_settings import PageSettings

    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for port in (PageSettings().port, 0):
            try:
                tried.bind((_PAGE_ADDRESS, port))
            except OSError:
                continue
            return int(tried.getsockname()[1])
    return 0


def _tell(store: Path, *, kept: bool) -> None:
    from receiver.cli.tables import print_rows
    from receiver.store.queries import DetectionFilter, Reader

    with Reader(store) as reader:
        tags = list(reader.tags(DetectionFilter()))
        rows = reader.counts()["detections"]
    click.echo(f"\n{rows} detections of {len(tags)} tags are in the store:")
    print_rows(tags, ("tag_id", "detections", "verified", "best_rssi_dbm", "antennas"), "table")
    if kept:
        click.echo(f"\nLook closer:  stopover detections --db {store}")
