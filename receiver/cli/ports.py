"""`stopover ports`: which serial devices there are, under names that last."""

import asyncio
from typing import TYPE_CHECKING

import click

from receiver.cli.options import explained

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from receiver.links.asking import Answer
    from receiver.serial_ports import SerialDevice


@click.command("ports")
@click.option(
    "--ask",
    is_flag=True,
    help="Ask each port for its radio's version (6 s). Motus Adapters V1 and other old dongles hang"
    " when asked, until they are opened again.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json prints one object a line.",
)
@explained
def ports_command(*, ask: bool, output_format: str) -> None:
    """List serial devices by-path and by-id, what each may be, and with --ask what answered.

    Configure the by-path name: it stays with the socket, and the antenna stays with that.

    Example:  stopover ports --ask
    """
    from receiver.serial_ports import serial_devices

    devices = serial_devices()
    answers = asyncio.run(_ask_all(devices)) if ask else {}
    if output_format == "json":
        _print_json(devices, answers)
    elif devices:
        for device in devices:
            _print_text(device, answers.get(device.device))
    else:
        click.echo("no serial devices: plug a radio in; if it is, look at its cable and its hub")


async def _ask_all(devices: "Sequence[SerialDevice]") -> "Mapping[str, Answer]":
    from receiver.links.asking import ask_version

    names = [device.device for device in devices if device.usb_id is not None]
    answers = await asyncio.gather(*map(ask_version, names))
    return dict(zip(names, answers, strict=True))


def _print_text(device: "SerialDevice", answer: "Answer | None") -> None:
    from receiver.log import escaped

    click.echo(device.steady_name)
    lines = [
        ("now", device.device),
        *(("by-path", name) for name in device.by_path[1:]),
        *(("by-id", name) for name in device.by_id if name != device.steady_name),
        ("usb", " ".join(filter(None, (device.usb_id, device.product, device.serial_number)))),
        ("what", device.what),
        ("asked", answer.text if answer else ""),
    ]
    for name, value in lines:
        if value and value != device.steady_name:
            click.echo(f"    {name:<8} {escaped(value)}")


def _print_json(devices: "Sequence[SerialDevice]", answers: "Mapping[str, Answer]") -> None:
    import msgspec

    for device in devices:
        answer = answers.get(device.device)
        row = {
            "name": device.steady_name,
            **msgspec.structs.asdict(device),
            "what": device.what,
            "answer": None if answer is None else answer.text,
            "radio": None if answer is None else answer.radio,
        }
        click.echo(msgspec.json.encode(row).decode())
