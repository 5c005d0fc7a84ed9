"""The dashboard asks for metrics that the station has, and is laid out as Grafana wants it."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from receiver import metrics
from receiver.health.snapshot import (
    AlarmSnapshot,
    AntennaSnapshot,
    ClockSnapshot,
    HostSnapshot,
    LinkSnapshot,
    SinkSnapshot,
    StationSnapshot,
    StoreSnapshot,
)

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "stopover.json"
SCRAPED = {"instance", "job"}
"""Labels that Prometheus itself puts on everything."""
PANELS = {"stat", "timeseries", "state-timeline"}
COLUMNS = 24


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def exported() -> dict[str, set[str]]:
    """The metrics of a station that has everything, and the labels of each."""
    noon = "2026-05-12T12:00:00Z"
    snapshot = StationSnapshot(
        station="marsh",
        version="1.0.0",
        started=noon,
        uptime_s=60.0,
        links=(
            LinkSnapshot(
                name="ch1", kind="serial", state="hearing", last_heard_s=1.0, rejects={"crc": 1}
            ),
        ),
        antennas=(
            AntennaSnapshot(
                link="ch1", antenna="north", noise_dbm=-110.0, noise_dbfs=-20.0, gain_db=36.4
            ),
        ),
        clock=ClockSnapshot(time=noon, quality="ntp"),
        store=StoreSnapshot(
            path="stopover.db",
            state="writing",
            store_uuid="",
            bytes=1,
            free_bytes=1,
            disk_bytes=1,
            bytes_per_day=1.0,
            days_left=1.0,
        ),
        sinks=(
            SinkSnapshot(
                name="far", kind="http", state="idle", oldest_waiting=noon, acknowledged_at=noon
            ),
        ),
        host=HostSnapshot(temperature_c=40.0, voltage_v=5.0, undervoltage=False),
        alarms=(AlarmSnapshot(alarm="disk-low", subject="", since=noon, message="", do=""),),
    )
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(metrics.text(snapshot).decode()):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    return labels


def queries(dashboard: dict[str, Any]) -> list[tuple[str, str]]:
    """Return each query with what its curves are called."""
    return [
        (target["expr"], target["legendFormat"])
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]


def named_in(query: str) -> set[str]:
    return set(re.findall(r"\b(?:stopover|process)_[a-z0-9_]+", query))


def test_every_metric_on_the_dashboard_is_one_that_a_station_has(
    dashboard: dict[str, Any], exported: dict[str, set[str]]
) -> None:
    asked = set[str]().union(*(named_in(query) for query, _ in queries(dashboard)))
    variables = " ".join(
        variable["query"]["query"]
        for variable in dashboard["templating"]["list"]
        if variable["type"] == "query"
    )
    assert len(asked) > 20
    assert (asked | named_in(variables)) - exported.keys() == set()
    assert "station" in exported["stopover_build_info"]


def test_every_curve_is_named_by_labels_that_it_has(
    dashboard: dict[str, Any], exported: dict[str, set[str]]
) -> None:
    for query, legend in queries(dashboard):
        has = SCRAPED.union(*(exported[name] for name in named_in(query)))
        used = set(re.findall(r"\{\{(\w+)\}\}", legend))
        used |= set(re.findall(r"\w+", "".join(re.findall(r"by \(([^)]*)\)", query))))
        assert used <= has, query


def test_every_counter_is_asked_for_its_increase(dashboard: dict[str, Any]) -> None:
    for query, _ in queries(dashboard):
        for counter in (name for name in named_in(query) if name.endswith("_total")):
            assert re.search(rf"(?:increase|rate)\({counter}", query), query


def test_every_query_is_for_the_stations_that_were_chosen(dashboard: dict[str, Any]) -> None:
    for query, _ in queries(dashboard):
        assert 'instance=~"$instance"' in query


def test_it_is_a_dashboard_that_grafana_loads_whatever_its_data_source_is_called(
    dashboard: dict[str, Any],
) -> None:
    # An id of null is replaced on import, and an older schema brought up to date.
    assert dashboard["id"] is None
    assert isinstance(dashboard["schemaVersion"], int)
    assert {"title", "uid", "panels", "templating", "time", "annotations"} <= dashboard.keys()
    variables = {each["name"]: each for each in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    used = set(re.findall(r"\$\{?(\w+)\}?", json.dumps(dashboard))) - {"__all"}
    assert used <= variables.keys()
    for panel in dashboard["panels"]:
        assert panel["type"] in PANELS
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)


def test_its_panels_lie_side_by_side(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    for place in places:
        assert place["x"] + place["w"] <= COLUMNS
        assert place["h"] > 0
    for one, other in itertools.combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above
