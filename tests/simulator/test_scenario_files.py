"""Scenario files: those that ship can be read, and a wrong one is told what would be right."""

import pytest

from simulator.scenario import SCENARIOS, ScenarioError, parse_scenario, scenario

STATION = """
[[stations]]
name = "hut"
position = { latitude = 47.05, longitude = 8.63 }
radios = [{ name = "r1", antenna = "roof" }]
"""
TAG = """
[[tags]]
tag_id = "78664C33"
position = { latitude = 47.051, longitude = 8.63 }
"""
GOOD = f'shows = "a test"\n{STATION}{TAG}'


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_that_ships_says_what_it_shows(name: str) -> None:
    found = scenario(name)
    assert found.name == name
    assert found.shows
    assert found.stations
    assert len({tag.tag_id for tag in found.tags}) == len(found.tags)


def test_a_night_of_migration_has_20_stations_and_500_tags() -> None:
    night = scenario("night-migration")
    assert (len(night.stations), len(night.tags)) == (20, 500)
    assert night.duration_s == 86_400
    assert len({station.name for station in night.stations}) == 20


def test_another_seed_makes_other_tags_of_a_flock() -> None:
    night = scenario("night-migration")
    other = night.changed(seed=2)
    assert [tag.tag_id for tag in night.tags] == [tag.tag_id for tag in other.tags]
    assert [tag.track for tag in night.tags] != [tag.track for tag in other.tags]


def test_a_good_file_is_named_after_itself() -> None:
    assert parse_scenario(GOOD, "my/marsh.toml").name == "marsh"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("shows = ", "f.toml: this is not TOML"),
        (GOOD.replace("antenna =", "antena ="), "f.toml:6: stations[0].radios[0].antena: there is"),
        (GOOD.replace("antenna =", "antena ="), "did you mean `antenna`?"),
        (
            GOOD.replace("47.05,", "147.05,"),
            "f.toml:5: stations[0].position.latitude: Expected `float` <= 90.0: Degrees north",
        ),
        (
            GOOD + "interval_s = -5\n",
            "f.toml:11: tags[0].interval_s: Expected `float` > 0.0: Seconds between beeps",
        ),
        (
            GOOD.replace(
                '[{ name = "r1", antenna = "roof" }]',
                '[{ name = "r1", antenna = "a" }, { name = "r1", antenna = "b" }]',
            ),
            "stations[0].radios[1].name: two radios are called 'r1': rename one of them",
        ),
        (GOOD + STATION, "stations[1].name: two stations are called 'hut'"),
        (GOOD + TAG, "f.toml:13: tags[1].tag_id: two tags are called '78664C33'"),
        (
            GOOD.replace("78664C33", "78664c3"),
            "tags[0].tag_id: '78664c3' must be 8 upper-case hex digits for a life-tag",
        ),
        (
            GOOD + 'track = { kind = "swim" }\n',
            "f.toml:11: tags[0].track.kind: Invalid value 'swim'",
        ),
        (GOOD + "jiter_s = 1\n[air]\nfading = 3\n", "air.fading: there is no such key; did you"),
        ('shows = "x"\n' + TAG, "a world needs at least one station"),
        ('shows = "x"\n' + STATION, "a world needs at least one tag or flock"),
        (
            GOOD.replace("radios", 'antennas = [{ name = "mast" }]\nradios'),
            "stations[0].radios[0].antenna: there is no antenna 'roof'; there are: mast",
        ),
        (GOOD.replace('shows = "a test"', ""), "missing required field `shows`"),
        (
            GOOD
            + '[[flocks]]\nname = "f"\ncount = 2\ninterval_s = [9, 5]\n'
            + 'track = { kind = "random-walk", centre = { latitude = 0, longitude = 0 } }\n',
            "flocks[0].interval_s: 9.0 to 5.0: the smaller one comes first",
        ),
    ],
)
def test_a_wrong_file_is_told_what_would_be_right(text: str, said: str) -> None:
    with pytest.raises(ScenarioError) as told:
        parse_scenario(text, "f.toml")
    assert said in str(told.value)


def test_every_unknown_key_is_named_at_once() -> None:
    with pytest.raises(ScenarioError) as told:
        parse_scenario(GOOD + "jiter_s = 1\n[air]\nfading = 3\n", "f.toml")
    assert len(str(told.value).splitlines()) == 2
