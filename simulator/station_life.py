"""What changes at a station while a world goes on: its place, its power, its clock, its noise."""

import random
from typing import TYPE_CHECKING, Final

from simulator.air import Band, summed_dbm
from simulator.chance import chance
from simulator.stations import Interference, Station

if TYPE_CHECKING:
    from simulator.tracks import Leg

_FLOOR_BELOW_SENSITIVITY_DB: Final = 5.7
"""A receiver's own noise in its 50 kHz, below the level at which half of the packets are lost:
8.7 dB of energy per bit, less 3 dB for two Hz of bandwidth a bit."""


class _Disturbance:
    """One neighbour's bursts, in order of time."""

    def __init__(self, plan: Interference, dice: random.Random) -> None:
        self.plan = plan
        self._dice = dice
        self._mean_gap_s = 3600 / plan.bursts_per_hour
        self._begin_s = dice.expovariate(1 / self._mean_gap_s)
        self._end_s = self._begin_s + dice.expovariate(1 / plan.burst_s)

    def overlaps(self, begin_s: float, end_s: float) -> bool:
        """Tell whether a burst is on in that time; times never go back by more than a burst."""
        while self._end_s < begin_s:
            self._begin_s = self._end_s + self._dice.expovariate(1 / self._mean_gap_s)
            self._end_s = self._begin_s + self._dice.expovariate(1 / self.plan.burst_s)
        return self._begin_s < end_s


class StationLife:
    """A station in time; asked about times that grow."""

    def __init__(self, station: Station, seed: int, start_unix_s: float) -> None:
        self.station = station
        self._start_unix_s = start_unix_s
        self._cuts = sorted(station.power_cuts, key=lambda cut: cut.at_s)
        self._disturbances: dict[Band, list[_Disturbance]] = {}
        for number, plan in enumerate(station.interference):
            dice = chance(seed, "interference", station.name, str(number))
            self._disturbances.setdefault(plan.band, []).append(_Disturbance(plan, dice))
        track = station.track
        dice = chance(seed, "track", station.name)
        self._legs = None if track is None else track.legs(dice, start_unix_s)
        self._passed: list[Leg] = []

    @property
    def moves(self) -> bool:
        """Whether it is on a ship."""
        return self._legs is not None

    def place_at(self, time_s: float) -> tuple[float, float]:
        """Return latitude and longitude; any time will do."""
        if self._legs is None:
            return self.station.position.latitude, self.station.position.longitude
        while not self._passed or self._passed[-1].end_s <= time_s:
            self._passed.append(next(self._legs))
        for leg in reversed(self._passed):
            if leg.begin_s <= time_s:
                return leg.place_at(time_s)
        return self._passed[0].place_at(time_s)

    def is_on(self, time_s: float) -> bool:
        """Tell whether it has power."""
        return not any(cut.at_s <= time_s < cut.at_s + cut.off_s for cut in self._cuts)

    def boot(self, time_s: float) -> int:
        """Return how often it was started, from 1."""
        return 1 + sum(cut.at_s + cut.off_s <= time_s for cut in self._cuts)

    def is_synchronised(self, time_s: float) -> bool:
        """Tell whether the station believes that its clock is right."""
        return self.station.clock.is_synchronised and self._behind_s(time_s) == 0

    def true_unix_s(self, time_s: float) -> float:
        """Return the world's own time."""
        return self._start_unix_s + time_s

    def clock_unix_s(self, time_s: float) -> float:
        """Return what its clock says."""
        clock = self.station.clock
        ahead_s = clock.offset_s + clock.drift_ppm * 1e-6 * time_s
        return self._start_unix_s + time_s + ahead_s - self._behind_s(time_s)

    def _behind_s(self, time_s: float) -> float:
        """Return by how much the clock, kept from the last shutdown, is behind after a cut."""
        for cut in self._cuts:
            back_s = cut.at_s + cut.off_s
            if back_s <= time_s < back_s + cut.clock_set_after_s:
                return cut.off_s
        return 0.0

    def quiet_rise_db(self, band: Band, sensitivity_dbm: float) -> float:
        """Return by how much the site's own noise makes a receiver less sensitive, always."""
        return _rise_db(
            sensitivity_dbm,
            [each.level_dbm for each in self.station.noise if each.band == band],
        )

    def rise_db(self, band: Band, sensitivity_dbm: float, begin_s: float, end_s: float) -> float:
        """Return by how much more the interference of this moment does."""
        return _rise_db(sensitivity_dbm, self.interference_dbm(band, begin_s, end_s))

    def interference_dbm(self, band: Band, begin_s: float, end_s: float) -> list[float]:
        """Return the levels of the neighbours that disturb a band in that time."""
        return [
            each.plan.level_dbm
            for each in self._disturbances.get(band, ())
            if each.overlaps(begin_s, end_s)
        ]


def _rise_db(sensitivity_dbm: float, levels_dbm: list[float]) -> float:
    if not levels_dbm:
        return 0.0
    floor_dbm = sensitivity_dbm - _FLOOR_BELOW_SENSITIVITY_DB
    return summed_dbm(floor_dbm, *levels_dbm) - floor_dbm
