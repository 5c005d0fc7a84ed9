"""A station and a computer for the doctor to look at, with faults that can be given to it."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from receiver import config
from receiver.doctor.findings import Check, Finding
from receiver.doctor.site import Identity, Site
from receiver.health.snapshot import ClockSnapshot, StationSnapshot, StoreSnapshot

if TYPE_CHECKING:
    from receiver.serial_ports import SerialDevice

NOBODY = Identity("nobody", 65534, frozenset({65534}))
ROOT = Identity("root", 0, frozenset({0}))


class Patient:
    """A healthy station; every part of it can be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "computer"
        self.configuration = folder / "stopover.toml"
        self.text = '[station]\nid = "marsh"\n'
        self.snapshot: StationSnapshot | None = None
        self.commands: dict[str, str] = {}
        """What a command prints, by its first two words."""
        self.identity = ROOT
        self.is_root = True
        self.devices: list[SerialDevice] = []
        self.clock = "ntp"
        self.now_s = time.time()
        self.patience_s = 5.0
        self.write("/proc/uptime", "100000.00 1.00")
        self.runs("chronyd")
        self.write("/sys/class/rtc/rtc0/name", "rtc")

    def write(self, name: str, text: str) -> Path:
        """Write a small file of the computer."""
        path = self.root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def runs(self, name: str, process: int | None = None, *arguments: str) -> None:
        """Let a program run."""
        number = process or 100 + len(list((self.root / "proc").glob("[0-9]*")))
        self.write(f"/proc/{number}/comm", f"{name[:15]}\n")
        self.write(f"/proc/{number}/cmdline", "\0".join((name, *arguments)))

    def runs_nothing(self) -> None:
        """End every program."""
        for each in (self.root / "proc").glob("[0-9]*/*"):
            each.unlink()

    def site(self) -> Site:
        """Return it as the doctor sees it."""
        self.configuration.write_text(self.text, encoding="utf-8")
        settings, problem = None, ""
        try:
            settings = config.load(self.configuration)
        except config.ConfigError as error:
            problem = str(error)
        return Site(
            config_path=self.configuration,
            settings=settings,
            configuration_problem=problem,
            snapshot=self.snapshot,
            root=self.root,
            command=self._command,
            identity=self.identity,
            is_root=self.is_root,
            devices=lambda: self.devices,
            clock_quality=lambda: self.clock,
            now_s=self.now_s,
            patience_s=self.patience_s,
        )

    def found(self, check: Check, *, also_good: bool = False) -> list[Finding]:
        """Return what a check finds, what is good left out; whatever it finds says what to do."""
        findings = list(check(self.site()))
        for finding in findings:
            assert finding.found
            assert bool(finding.do) == (finding.severity != "ok"), finding
        return [each for each in findings if also_good or each.severity != "ok"]

    def names(self, check: Check) -> list[tuple[str, str]]:
        """Return (check, severity) of what a check finds, what is good left out."""
        return [(each.check, each.severity) for each in self.found(check)]

    def is_well(self, check: Check) -> bool:
        """Tell whether a check finds nothing but good."""
        return not self.found(check)

    def hears(self, **changes: object) -> None:
        """Let its daemon run, and tell this of itself."""
        values: dict[str, object] = {
            "station": "marsh",
            "version": "0.1.0",
            "started": "2026-05-12T11:00:00.000000Z",
            "uptime_s": 3600.0,
            "clock": ClockSnapshot(time="2026-05-12T12:00:00.000000Z", quality="ntp"),
            "store": StoreSnapshot(
                path="x.db",
                state="writing",
                store_uuid="u",
                bytes=1,
                free_bytes=10**10,
                disk_bytes=10**11,
                reserve_bytes=8_000_000,
            ),
        }
        self.snapshot = msgspec.convert(msgspec.to_builtins(values | changes), StationSnapshot)

    def _command(self, arguments: Sequence[str]) -> str | None:
        return self.commands.get(" ".join(arguments[:2]))
