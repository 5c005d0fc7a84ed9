"""Antennas: how much they hear from which side."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Meta

PatternName: TypeAlias = Literal["omni", "yagi-3", "yagi-5", "yagi-9"]


class Pattern(NamedTuple):
    """A horizontal pattern: a main lobe that falls off with the square of the angle, and a back."""

    peak_dbi: float
    beamwidth_deg: float
    """Between the two half-power points; 360 hears all around alike."""
    front_to_back_db: float


PATTERNS: Final[Mapping[PatternName, Pattern]] = {
    "omni": Pattern(2.0, 360.0, 0.0),
    "yagi-3": Pattern(6.0, 70.0, 15.0),
    "yagi-5": Pattern(9.0, 55.0, 18.0),
    "yagi-9": Pattern(11.5, 40.0, 20.0),
}
"""Typical values of makers' data sheets for antennas of so many elements."""

_LOBE: Final = 12.0
"""A parabola that is 3 dB down at half the beamwidth: the form that 3GPP TR 36.814 uses."""


class Antenna(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One antenna of a station."""

    name: Annotated[str, Meta(min_length=1, max_length=64, description="The owner's label.")]
    pattern: Annotated[PatternName, Meta(description="What kind of antenna.")] = "omni"
    bearing_deg: Annotated[
        float, Meta(ge=0, le=360, description="Where it points: degrees clockwise from north.")
    ] = 0.0
    height_m: Annotated[
        Annotated[float, Meta(ge=0.1, le=500)] | None,
        Meta(description="Metres above ground; else not regarded."),
    ] = None

    @property
    def peak_dbi(self) -> float:
        """Its gain where it points."""
        return PATTERNS[self.pattern].peak_dbi

    def gain_dbi(self, bearing_deg: float) -> float:
        """Return its gain towards a bearing."""
        pattern = PATTERNS[self.pattern]
        if not pattern.front_to_back_db:
            return pattern.peak_dbi
        aside_deg = (bearing_deg - self.bearing_deg + 180.0) % 360.0 - 180.0
        down_db = _LOBE * (aside_deg / pattern.beamwidth_deg) ** 2
        return pattern.peak_dbi - min(down_db, pattern.front_to_back_db)
