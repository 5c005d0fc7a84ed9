"""Numbers that the kernel keeps of another process: CPU time, memory, wake-ups."""

import os
from pathlib import Path

import msgspec

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class ProcessNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """One look at a process; CPU time and wake-ups count from its start."""

    user_s: float
    system_s: float
    rss_mb: float
    peak_rss_mb: float
    wake_ups: int
    """Voluntary context switches of all its threads: each is one sleep that ended."""

    @property
    def cpu_s(self) -> float:
        """CPU time of the process's own code and of the kernel on its behalf."""
        return self.user_s + self.system_s


def numbers_of(pid: int) -> ProcessNumbers:
    """Look at a process.

    Raises:
        OSError: there is none.
    """
    process = Path(f"/proc/{pid}")
    after_name = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    status = _status(process)
    return ProcessNumbers(
        user_s=int(after_name[11]) / _TICKS_PER_S,
        system_s=int(after_name[12]) / _TICKS_PER_S,
        rss_mb=_megabytes(status["VmRSS"]),
        peak_rss_mb=_megabytes(status["VmHWM"]),
        wake_ups=sum(
            int(_status(thread)["voluntary_ctxt_switches"])
            for thread in (process / "task").iterdir()
        ),
    )


def _status(folder: Path) -> dict[str, str]:
    lines = (folder / "status").read_text(encoding="utf-8").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _megabytes(kibibytes: str) -> float:
    return int(kibibytes.split(maxsplit=1)[0]) * 1024 / 1e6
