"""What the pages say is so: commands of ours are run, settings are taken, links lead somewhere."""

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
from documented_commands import OURS, ROOT, SYSTEM_PROGRAMS, Block, blocks, pages, program
from laptop import Laptop

from receiver import config
from receiver.settings import Settings

PAGES = pages()
FOREIGN_DECODER = "heron"
"""Of the page on writing decoders; `tests/receiver/test_foreign_decoder.py` runs it, installed."""


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not re.match(r"[a-z]+:", target):
            assert (ROOT / page.parent / target).exists(), f"{page}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_settings_on_a_page_are_accepted(page: Path) -> None:
    for block in blocks(page):
        if block.language != "toml" or FOREIGN_DECODER in block.text:
            continue
        if set(tomllib.loads(block.text)) <= set(Settings.__struct_fields__):
            config.parse(block.text, ROOT / page)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_other_programs_on_a_page_are_called_as_the_shell_reads_it(page: Path) -> None:
    for block in blocks(page):
        for command in block.commands():
            if OURS.match(command):
                continue
            known = SYSTEM_PROGRAMS | {"make", "python"}
            assert program(command) in known, f"{page}:{block.line}: {command}"
            read = subprocess.run(["bash", "-n", "-c", command], capture_output=True, check=False)
            assert read.returncode == 0, f"{page}:{block.line}: {command}"


def test_every_target_of_make_on_a_page_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        for block in blocks(page):
            for command in block.commands():
                if program(command) == "make":
                    for target in shlex.split(command)[1:]:
                        is_target = re.search(f"^{target}:", makefile, re.MULTILINE)
                        assert "=" in target or is_target, command


def test_every_alarm_is_explained_to_its_owner() -> None:
    source = (ROOT / "receiver" / "health" / "snapshot.py").read_text(encoding="utf-8")
    (told,) = re.findall(r'alarm: str\n\s+"""(.*?)"""', source, re.DOTALL)
    explained = (ROOT / "deploy" / "alarms.md").read_text(encoding="utf-8")
    alarms = re.findall(r"`([a-z-]+)`", told)
    assert len(alarms) > 10
    for alarm in alarms:
        assert f"\n| `{alarm}` |" in explained


def ours(page: Path) -> list[tuple[Block, str]]:
    return [
        (block, command)
        for block in blocks(page)
        for command in block.commands()
        if OURS.match(command)
    ]


@pytest.mark.timeout(600)  # The README alone has dozens of commands, each a process.
@pytest.mark.parametrize("page", [page for page in PAGES if ours(page)], ids=str)
def test_commands_on_a_page_do_what_it_says(page: Path, tmp_path: Path) -> None:
    with Laptop(tmp_path) as laptop:
        for block, command in ours(page):
            told = laptop.types(command)
            assert told is None, f"{page}:{block.line}: {command}\n{told}"
