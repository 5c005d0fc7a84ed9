"""The command `stopover`: which commands there are, and how an error ends one.

Exit status: 0 done, 1 failed, 2 wrong use or wrong configuration.
"""

import importlib
import io
import sys
from collections.abc import Mapping
from typing import Any

import click

from receiver.cli.lost_output import told_if_lost
from receiver.cli.options import TEXT

_COMMANDS: Mapping[str, str] = {
    "init": "receiver.cli.configuration:init_command",
    "check": "receiver.cli.configuration:check_command",
    "run": "receiver.cli.run:run_command",
    "demo": "receiver.cli.demo:demo_command",
    "simulate": "receiver.cli.simulate:simulate_command",
    "score": "receiver.cli.score:score_command",
    "import": "receiver.cli.importing:import_command",
    "record": "receiver.cli.recording:record_command",
    "replay": "receiver.cli.replaying:replay_command",
    "detections": "receiver.cli.reading:detections_command",
    "runs": "receiver.cli.reading:runs_command",
    "tags": "receiver.cli.reading:tags_command",
    "activity": "receiver.cli.reading:activity_command",
    "spectrum": "receiver.cli.spectrum:spectrum_command",
    "upload": "receiver.cli.upload:upload_command",
    "collect": "receiver.cli.collect:collect_command",
    "export": "receiver.cli.exporting:export_command",
    "ports": "receiver.cli.ports:ports_command",
    "listen": "receiver.cli.listen:listen_command",
    "status": "receiver.cli.status:status_command",
    "doctor": "receiver.cli.doctor:doctor_command",
    "commission": "receiver.cli.commission:commission_command",
    "redecode": "receiver.cli.redecode:redecode_command",
    "decoders": "receiver.cli.decoders:decoders_command",
}
"""Where each command is: loaded only when it is used, so that `stopover ports` answers at once."""


class _CommandGroup(click.Group):
    """A group that loads a command when it is asked for."""

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  They are click's own.
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A letter that the locale does not have is shown by its number.
            sys.stdout.reconfigure(errors="backslashreplace")
        with told_if_lost():
            return super().main(*args, **kwargs)

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[name].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        for parameter in command.params:
            if parameter.type is click.STRING:
                parameter.type = TEXT
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            hint = f" Did you mean `stopover {near[0]}`?" if near else ""
            raise click.UsageError(f"{error.message}{hint}", ctx) from None


@click.group(
    cls=_CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog='Shell completion:  eval "$(_STOPOVER_COMPLETE=bash_source stopover)"',
)
@click.version_option(package_name="stopover", message="%(prog)s %(version)s")
def main() -> None:
    """Hear wildlife radio tags, keep every detection, hand them on.

    Without hardware: `stopover demo`. With a radio: `stopover ports`, `stopover init`,
    `stopover run`.
    """


if __name__ == "__main__":
    main()
