"""The lists of tags: read, and how many there are in them."""

from collections.abc import Callable, Iterator, Sized
from pathlib import Path

from receiver.coded_ids.tag_lists import TagListError, read_known_tags, read_tag_list
from receiver.doctor.findings import Finding
from receiver.doctor.site import Site
from receiver.doctor.store import store_reader
from receiver.health.tag_names import read_names


def tag_lists(site: Site) -> Iterator[Finding]:
    """Look whether each list can be used, and what of it cannot."""
    if site.settings is None:
        return
    tags = site.settings.tags
    if tags.coded_ids is not None:
        yield from _coded_ids(Path(tags.coded_ids))
    for key, name, read in (
        ("tags.known_file", tags.known_file, read_known_tags),
        ("tags.names_file", tags.names_file, read_names),
    ):
        if name is not None:
            yield _list(key, Path(name), read)


def _coded_ids(path: Path) -> Iterator[Finding]:
    try:
        found = read_tag_list(path)
    except TagListError as error:
        yield Finding(
            check="tag-list",
            severity="fault",
            subject="tags.coded_ids",
            found=str(error),
            do="mend the list: without it VHF pulses stay pulses",
        )
        return
    if found.warnings:
        yield Finding(
            check="tag-list",
            severity="warning",
            subject="tags.coded_ids",
            found=f"{len(found.warnings)} rows of {path} cannot be used: {found.warnings[0]}",
            do="mend those rows; the list is read again when it changes",
        )
    yield Finding(
        check="tag-list",
        severity="ok",
        subject="tags.coded_ids",
        found=f"{len(found.tags)} tags in {path}",
    )


def _list(key: str, path: Path, read: Callable[[Path], Sized]) -> Finding:
    try:
        found = read(path)
    except TagListError as error:
        return Finding(
            check="tag-list",
            severity="warning",
            subject=key,
            found=str(error),
            do="mend the file; it is read again when it changes",
        )
    return Finding(
        check="tag-list", severity="ok", subject=key, found=f"{len(found)} tags in {path}"
    )


def unlisted_pulses(site: Site) -> Iterator[Finding]:
    """Look whether pulses come that no list makes tags of."""
    if site.settings is None or site.settings.tags.coded_ids is not None:
        return
    with store_reader(site) as reader:
        pulses = 0 if reader is None else reader.counts()["pulses"]
    if pulses:
        yield Finding(
            check="tag-list",
            severity="warning",
            subject="tags.coded_ids",
            found=f"{pulses} VHF pulses are kept, and no tag list makes tags of them",
            do="name your list of coded-ID tags in the configuration, as tags.coded_ids",
        )
