"""What a check of the doctor finds."""

from collections.abc import Callable, Iterator
from typing import Final, Literal, TypeAlias

import msgspec

from receiver.doctor.site import Site

Severity: TypeAlias = Literal["ok", "note", "warning", "fault"]
"""`fault` data are lost or not handed on, now; `warning` they may be; `note` worth knowing."""

SEVERITIES: Final[tuple[Severity, ...]] = ("ok", "note", "warning", "fault")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    check: str
    """Which check found it, in kebab case: `port-held`."""
    severity: Severity
    subject: str
    """What it is about: a link, a file, a sink; empty where it is the station."""
    found: str
    do: str = ""
    """What helps, where something is to be done."""


Check: TypeAlias = Callable[[Site], Iterator[Finding]]
"""Looks at one thing. What it cannot see it passes over; it changes nothing."""
