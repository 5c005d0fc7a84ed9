"""What a tag lives on: light on a panel, a store of energy, and what each transmission costs.

A tag sends only what its store can pay for. Times are seconds since the world began; in between
two calls the store gains what the panel brings and loses what sleeping costs, evenly.

Costs: 149 uJ for a five-byte packet at 10 dBm; panel 4 mW in full sun and battery 6 J of a 1 g tag
(RadioJay's data sheets); beepers with 100 J batteries last months (radiojay.org, power budgets).
"""

import math
import random
from collections.abc import Callable
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

LIGHT_STEP_S: Final = 900.0
"""Light is taken as even over a quarter of an hour: the sun moves less than 4 degrees in it."""

SunElevation: TypeAlias = Callable[[float, float, float], float]
"""(latitude, longitude, Unix time) to the sun's elevation in degrees, refraction included."""


class Supply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a tag is fed by.

    A LifeTag has a panel and next to no store: it beeps while it has light. A PowerTag has a
    battery only: it beeps by its schedule until that is empty. A hybrid has both.
    """

    panel_mw: Annotated[
        float, Meta(ge=0, le=1000, description="What the panel gives in full sun, mW; 0 is none.")
    ] = 0.0
    store_j: Annotated[
        float, Meta(gt=0, le=1e6, description="What capacitor or battery hold, J.")
    ] = 0.05
    full_at_start: Annotated[
        float, Meta(ge=0, le=1, description="How full the store is when the world begins.")
    ] = 0.5
    sleep_uw: Annotated[float, Meta(ge=0, description="What it needs between beeps, uW.")] = 1.5
    transmission_uj: Annotated[float, Meta(gt=0, description="What one beep costs, uJ.")] = 149.0
    shading: Annotated[
        float,
        Meta(ge=0, le=1, description="Share of the light that posture and plants take, on average"),
    ] = 0.5


class Weather(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of the sun comes through."""

    clouds: Annotated[
        float, Meta(ge=0, le=1, description="Share of the light that clouds take, on average.")
    ] = 0.3


def sun_on_flat_ground(elevation_deg: float) -> float:
    """Return the clear sky's light on flat ground, 1 being 1000 W/m2.

    Haurwitz's formula, 1098 sin e exp(-0.057 / sin e) W/m2; nothing while the sun is down.
    Source: Haurwitz, J. Meteorology 2 (1945), as Reno et al., SAND2012-2389, give it.
    """
    height = math.sin(math.radians(elevation_deg))
    return 1.098 * height * math.exp(-0.057 / height) if height > 0.002 else 0.0  # noqa: PLR2004  0.1 degree.


class EnergyLife:
    """The energy of one tag through time; never asked about the past."""

    def __init__(self, supply: Supply, dice: random.Random) -> None:
        self.supply = supply
        self.stored_j = supply.store_j * supply.full_at_start
        self.transmission_j = supply.transmission_uj * 1e-6
        self._dice = dice
        self._now_s = 0.0
        self._net_w = -supply.sleep_uw * 1e-6
        self._posture = dice.random()

    def light(self, sun: float, clouds: float) -> None:
        """Set what the panel sees from now on: `sun` on flat ground, 1 being 1000 W/m2."""
        # An animal turns and moves on: half of its posture is new each quarter of an hour.
        self._posture = (self._posture + self._dice.random()) / 2
        taken = min(1.0, 2 * self.supply.shading * self._posture)
        income_w = self.supply.panel_mw * 1e-3 * sun * (1 - clouds) * (1 - taken)
        self._net_w = income_w - self.supply.sleep_uw * 1e-6

    def until(self, time_s: float) -> None:
        """Let time pass."""
        stored_j = self.stored_j + self._net_w * max(0.0, time_s - self._now_s)
        self.stored_j = min(self.supply.store_j, max(0.0, stored_j))
        self._now_s = max(self._now_s, time_s)

    def sends(self, time_s: float) -> bool:
        """Send if the store can pay for it; tell whether it did."""
        self.until(time_s)
        if self.stored_j < self.transmission_j:
            return False
        self.stored_j -= self.transmission_j
        return True

    def certain_beeps(self, first_s: float, interval_s: float, beeps: int) -> int | None:
        """Send `beeps` beeps at once where it is plain that all are paid for, or none can be.

        Return how many were sent; None, and nothing has happened, where they must be taken one by
        one.
        """
        last_s = first_s + (beeps - 1) * interval_s
        gain_j = self._net_w * interval_s - self.transmission_j
        at_first_j = min(
            self.supply.store_j, self.stored_j + self._net_w * max(0.0, first_s - self._now_s)
        )
        # Jitter moves single beeps: one transmission's worth of margin covers it.
        if min(at_first_j, at_first_j + (beeps - 1) * gain_j) >= 2 * self.transmission_j:
            sent = beeps
            at_last_j = at_first_j + (beeps - 1) * gain_j - self.transmission_j
            self.stored_j = min(self.supply.store_j - self.transmission_j, at_last_j)
        elif self._net_w <= 0 and at_first_j < self.transmission_j:
            sent = 0
            self.stored_j = max(0.0, at_first_j + self._net_w * (last_s - first_s))
        else:
            return None
        self._now_s = max(self._now_s, last_s)
        return sent
