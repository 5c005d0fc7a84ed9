"""All checks of the doctor, one after another; a fault in one never hides what others find."""

from collections.abc import Iterator, Sequence
from typing import Final

from receiver.doctor import (
    clock,
    configuration,
    disk,
    hearing,
    network,
    ports,
    power,
    service,
    software_radios,
    store,
    store_files,
    tags,
)
from receiver.doctor.findings import Check, Finding
from receiver.doctor.site import Site

CHECKS: Final[Sequence[Check]] = (
    configuration.configuration,
    configuration.files,
    configuration.antennas,
    store.one_daemon,
    service.alarms,
    service.links,
    ports.port_missing,
    ports.port_permission,
    ports.sockets,
    ports.port_held,
    ports.unused_radios,
    ports.modem_manager,
    ports.brltty,
    ports.usb_autosuspend,
    software_radios.software_radios,
    software_radios.television_driver,
    clock.clock_now,
    clock.clock_source,
    clock.gpsd,
    clock.real_time_clock,
    clock.clock_of_rows,
    store.store,
    store_files.store_permission,
    store.set_aside,
    store.backlog,
    store.rows_lost,
    disk.disk_room,
    disk.file_system,
    disk.disk_wear,
    disk.reserve,
    power.supply,
    power.kernel_log,
    network.far_ends,
    network.folders,
    network.webhook,
    network.page,
    tags.tag_lists,
    tags.unlisted_pulses,
    hearing.beacons,
    hearing.silent_antennas,
    hearing.unknown_frames,
    service.unit,
    service.journal,
    service.version,
    configuration.page_password,
    service.rights,
)
"""In the order in which a technician looks: what stops everything comes first."""


def examine(site: Site, checks: Sequence[Check] = CHECKS) -> Iterator[Finding]:
    """Yield what every check finds, as it finds it."""
    for check in checks:
        try:
            yield from check(site)
        except Exception as error:  # noqa: BLE001  One check's fault hides no other's finding.
            yield Finding(
                check=check.__name__.replace("_", "-"),
                severity="note",
                subject="doctor",
                found=f"could not be looked at: {type(error).__name__}: {error}",
                do="report this, with what `stopover doctor --json` prints",
            )
