"""`stopover simulate`: simulated radio traffic to serial ports, a broker or files."""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulator.iq_radio import IqFile
    from simulator.play import Outlet, Witness
    from simulator.scenario import Scenario
    from simulator.serial_station import Port
    from simulator.truth import TruthRow
    from simulator.world import World

_EXAMPLE = """
\b
Examples:
  stopover simulate quiet-marsh --serial
  stopover simulate night-migration --files recordings --truth truth.jsonl
"""


@click.command("simulate", epilog=_EXAMPLE)
@click.argument("scenario")
@click.option("--serial", is_flag=True, help="Radios on pseudo-terminals; their devices are told.")
@click.option("--mqtt", metavar="URL", help="Publish lines to a broker: mqtt://HOST[:PORT].")
@click.option(
    "--files",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write what the stations and the nodes' cards would have recorded.",
)
@click.option(
    "--iq",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write I/Q of one radio's antenna: FILE.cu8 or FILE.cf32, 250 kS/s. Needs numpy.",
)
@click.option(
    "--iq-radio",
    metavar="STATION/RADIO",
    help="Whose antenna --iq is; else the first radio's.",
)
@click.option(
    "--truth",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write what was sent and received, one JSON object a line.",
)
@click.option("--seed", type=int, help="Another world of the same kind.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="How much faster than life; files alone are written at once.",
)
@click.option(
    "--duration",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="How long the world lasts; live ones until Ctrl-C unless told.",
)
@click.option(
    "--bit-error-rate", type=click.FloatRange(0, 1), help="Chance that a bit of a beep is wrong."
)
@click.option(
    "--line-noise", type=click.FloatRange(0, 1), help="Chance that a line is cut or has garbage."
)
def simulate_command(
    scenario: str,
    *,
    serial: bool,
    mqtt: str | None,
    files: Path | None,
    iq: Path | None,
    iq_radio: str | None,
    truth: Path | None,
    seed: int | None,
    speed: float,
    duration: float | None,
    bit_error_rate: float | None,
    line_noise: float | None,
) -> None:
    """Simulate the radio traffic of SCENARIO, which is a name or a TOML file of your own.

    The scenarios that ship are quiet-marsh, colony, noisy-city, night-migration, ship, power-cut,
    walk-test, saturation and all-generations.
    """
    from simulator import scenario as scenarios

    is_live = serial or mqtt is not None
    if not is_live and files is None and iq is None:
        raise click.UsageError("say where to: --serial, --mqtt URL, --files DIR or --iq FILE")
    if is_live and iq is not None:
        raise click.UsageError("--iq is written at once: use it without --serial and --mqtt")
    try:
        chosen = _scenario(scenario).changed(
            seed=seed,
            duration_s=math.inf if is_live and duration is None else duration,
            bit_error_rate=bit_error_rate,
            line_noise=line_noise,
            start_unix_s=time.time() if is_live else None,
        )
    except scenarios.ScenarioError as error:
        raise click.UsageError(str(error)) from error
    try:
        if is_live:
            asyncio.run(
                _simulate_live(
                    chosen, serial=serial, mqtt=mqtt, files=files, truth=truth, speed=speed
                )
            )
        else:
            _simulate_at_once(chosen, files, truth, iq, iq_radio)
    except scenarios.ScenarioError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename or ''}: {error.strerror}") from error


def _scenario(name: str) -> Scenario:
    """Return the scenario in a TOML file, or the one that ships under a name."""
    from simulator.scenario import parse_scenario, scenario

    path = Path(name)
    if path.suffix != ".toml":
        return scenario(name)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{name}: cannot be read: {error}") from error
    return parse_scenario(text, name)


def _simulate_at_once(
    scenario: Scenario,
    files: Path | None,
    truth: Path | None,
    iq: Path | None,
    iq_radio: str | None,
) -> None:
    from simulator.play import play_at_once
    from simulator.world import World

    world = World(scenario)
    outlets: list[Outlet] = []
    with contextlib.ExitStack() as stack:
        witness = stack.enter_context(_witness(truth))
        if files is not None:
            from simulator.recorded_files import RecordedFiles

            recorded = stack.enter_context(RecordedFiles(files, world))
            outlets.append(recorded)
            witness = _both(witness, recorded.witness)
            stack.callback(
                lambda: click.echo(
                    f"{recorded.records} records in {len(recorded.paths)} files in {files}",
                    err=True,
                )
            )
        if iq is not None:
            samples = stack.enter_context(_iq_file(iq, scenario, iq_radio))
            outlets.append(samples)
            witness = _both(witness, samples.witness)
            stack.callback(
                lambda: click.echo(
                    f"{samples.bursts} bursts at {samples.station.name}/{samples.radio.name}"
                    f" in {iq}",
                    err=True,
                )
            )
        play_at_once(world, outlets, witness)


def _iq_file(path: Path, scenario: Scenario, radio: str | None) -> IqFile:
    try:
        from simulator.iq_radio import IqFile
    except ImportError as error:
        raise click.ClickException(
            f"--iq needs numpy ({error}): pip install 'stopover[sdr]'"
        ) from error
    return IqFile(path, scenario, radio)


async def _simulate_live(
    scenario: Scenario,
    *,
    serial: bool,
    mqtt: str | None,
    files: Path | None,
    truth: Path | None,
    speed: float,
) -> None:
    from simulator.mqtt_radio import BrokerError, mqtt_radios
    from simulator.recorded_files import RecordedFiles
    from simulator.serial_station import serial_station
    from simulator.world import World

    world = World(scenario)
    outlets: list[Outlet] = []
    async with contextlib.AsyncExitStack() as stack:
        witness = stack.enter_context(_witness(truth))
        if files is not None:
            recorded = stack.enter_context(RecordedFiles(files, world))
            outlets.append(recorded)
            witness = _both(witness, recorded.witness)
        if mqtt is not None:
            try:
                radios = await stack.enter_async_context(mqtt_radios(mqtt))
            except BrokerError as error:
                raise click.ClickException(str(error)) from error
            outlets.append(radios)
            stack.callback(lambda: _tell("published", radios.lines_published, radios.lines_dropped))
        if serial:
            station = stack.enter_context(serial_station(world))
            outlets.append(station)
            stack.callback(lambda: _tell("printed", station.lines_sent, station.lines_dropped))
            click.echo("\n".join(_configuration(port) for port in station.ports()))
        await _play_until_stopped(world, outlets, witness, speed)


async def _play_until_stopped(
    world: World, outlets: list[Outlet], witness: Witness, speed: float
) -> None:
    from simulator.play import play

    loop = asyncio.get_running_loop()
    playing = asyncio.create_task(play(world, outlets, witness, speed=speed))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, playing.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await playing


@contextlib.contextmanager
def _witness(truth: Path | None) -> Iterator[Witness]:
    from simulator.play import unwatched
    from simulator.truth_file import TruthFile

    if truth is None:
        yield unwatched
        return
    with TruthFile(truth) as file:
        yield file.write


def _both(one: Witness, other: Witness) -> Witness:
    def witness(row: TruthRow) -> None:
        one(row)
        other(row)

    return witness


def _configuration(port: Port) -> str:
    """Return a link of the configuration, ready to paste."""
    lines = [
        "[[links]]",
        'kind = "serial"',
        f'name = "{port.name}"',
        f'device = "{port.device}"',
    ]
    if port.antenna:
        lines.append(f'antenna = "{port.antenna}"')
    if port.decoder != "ctt":
        lines.append(f'decoder = "{port.decoder}"')
    if port.preset:
        lines.append(f'preset = "{port.preset}"')
    if not port.has_replies:
        lines.append('talk = "never"')
    return "\n".join(lines) + "\n"


def _tell(done: str, lines: int, dropped: int) -> None:
    click.echo(f"{lines} lines {done}, {dropped} that nobody took", err=True)
