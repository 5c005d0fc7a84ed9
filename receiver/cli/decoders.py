"""`stopover decoders`: what can be decoded, and how it is laid out."""

import inspect

import click

from receiver.cli.options import decoder_of, explained


@click.command("decoders")
@click.argument("name", required=False, callback=decoder_of)
@explained
def decoders_command(name: str | None) -> None:
    """List the decoders, or show the layout that one reads.

    Example:  stopover decoders ctt
    """
    from protocols import registry

    if name is not None:
        entry = registry.entry(name)
        click.echo(f"{entry.identity} ({entry.framing}): {entry.takes}\n")
        click.echo(inspect.getdoc(entry.make) or "")
        return
    for entry in registry.entries().values():
        click.echo(f"{entry.identity:<20} {entry.framing:<8} {entry.takes}")
