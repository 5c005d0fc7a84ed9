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

from receiver.cli.options import Number
from receiver.cli.progress import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from simulator.iq_radio import IqFile
    from simulator.play import Outlet, Witness
    from simulator.rtl_stick import RtlStick
    from simulator.scenario import Scenario
    from simulator.serial_station import Port
    from simulator.truth import TruthRow
    from simulator.world import Emission, World

_STEPS_TOLD = 500
"""Of a world that is played at once, to who watches."""

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
    "--rtl-tcp",
    type=click.IntRange(0, 65_535),
    metavar="PORT",
    help="Be a stick behind rtl_tcp on this machine; its link is told. 0: any free port.",
)
@click.option(
    "--iq-radio",
    metavar="STATION/RADIO",
    help="Whose antenna --iq or --rtl-tcp is; else the first radio's.",
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
    type=Number(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="How much faster than life; files alone are written at once.",
)
@click.option(
    "--duration",
    type=Number(min=0, min_open=True),
    metavar="SECONDS",
    help="How long the world lasts; live ones until Ctrl-C unless told.",
)
@click.option("--bit-error-rate", type=Number(0, 1), help="Chance that a bit of a beep is wrong.")
@click.option("--line-noise", type=Number(0, 1), help="Chance that a line is cut or has garbage.")
def simulate_command(
    scenario: str,
    *,
    serial: bool,
    mqtt: str | None,
    files: Path | None,
    iq: Path | None,
    rtl_tcp: int | None,
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

    is_live = serial or mqtt is not None or rtl_tcp is not None
    if not is_live and files is None and iq is None:
        raise click.UsageError(
            "say where to: --serial, --mqtt URL, --files DIR, --iq FILE or --rtl-tcp PORT"
        )
    if rtl_tcp is not None and (serial or mqtt or files or iq):
        raise click.UsageError("--rtl-tcp is a world of its own: use it without the others")
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
        if rtl_tcp is not None:
            asyncio.run(_simulate_stick(chosen, rtl_tcp, iq_radio, truth, speed))
        elif is_live:
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
        raise click.ClickException(
            f"{error.filename or 'what is written'}: {error.strerror}"
        ) from error


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
        with shown("simulating", lambda: scenario.duration_s, "seconds") as on_progress:
            outlets.append(_Progress(scenario.duration_s, on_progress))
            play_at_once(world, outlets, witness)


class _Progress:
    """An outlet that takes nothing, and tells how far the world is."""

    def __init__(self, duration_s: float, on_progress: Callable[[float], None]) -> None:
        self._step_s = duration_s / _STEPS_TOLD
        self._on_progress = on_progress
        self._told_s = 0.0

    def send(self, emission: Emission) -> bool:
        """Look at the time."""
        ahead_s = emission.time_s - self._told_s
        if ahead_s >= self._step_s:
            self._told_s = emission.time_s
            self._on_progress(ahead_s)
        return False


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


async def _simulate_stick(
    scenario: Scenario, port: int, radio: str | None, truth: Path | None, speed: float
) -> None:
    try:
        from simulator.rtl_stick import BYTES_PER_S, RtlStick
    except ImportError as error:
        raise click.ClickException(
            f"--rtl-tcp needs numpy ({error}): pip install 'stopover[sdr]'"
        ) from error
    from simulator.rtl_tcp_server import rtl_tcp_server

    with _witness(truth) as witness:
        stick = RtlStick(scenario, radio, witness=witness)
        serving = rtl_tcp_server(stick.blocks, port=port, bytes_per_s=BYTES_PER_S * speed)
        async with contextlib.AsyncExitStack() as stack:
            try:
                server, served_at = await stack.enter_async_context(serving)
            except OSError as error:
                raise click.ClickException(
                    f"--rtl-tcp {port}: {error.strerror}; name another port"
                ) from error
            stick.commands = server.commands
            click.echo(_stick_link(stick, served_at))
            await _until_stopped(asyncio.Event().wait())


async def _play_until_stopped(
    world: World, outlets: list[Outlet], witness: Witness, speed: float
) -> None:
    from simulator.play import play

    await _until_stopped(play(world, outlets, witness, speed=speed))


async def _until_stopped(playing_on: Coroutine[None, None, object]) -> None:
    """Wait for an end, or for the signals that stop a command."""
    loop = asyncio.get_running_loop()
    playing = asyncio.create_task(playing_on)
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


def _stick_link(stick: RtlStick, port: int) -> str:
    """Return a stick's link of the configuration, ready to paste."""
    lines = [
        "[[links]]",
        'kind = "software-radio"',
        f'name = "{stick.radio.name}"',
        f'source = "rtl_tcp://127.0.0.1:{port}"',
        f'antenna = "{stick.radio.antenna}"',
    ]
    if stick.is_vhf:
        lines += ['hears = "coded-id"', f"frequency_mhz = {stick.channel_hz / 1e6:g}"]
    return "\n".join(lines) + "\n"


def _tell(done: str, lines: int, dropped: int) -> None:
    click.echo(f"{lines} lines {done}, {dropped} that nobody took", err=True)
