"""The page's own files: what must not stand in them, and what must stand beside them."""

import re
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "receiver" / "web" / "static"
OTHERS = {"uPlot.iife.min.js", "uPlot.min.css"}
OURS = sorted(
    path
    for path in STATIC.iterdir()
    if path.suffix in {".js", ".css", ".html", ".svg"} and path.name not in OTHERS
)
SCRIPTS = [path for path in OURS if path.suffix == ".js"]

TEXT_BECOMES_MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser"
    r"|srcdoc|\beval\b|new Function|setHTMLUnsafe|javascript:|setTimeout\(\s*[\"'`]"
)
LOADS_FROM_ELSEWHERE = re.compile(
    r"""(?:src|href|url|import|fetch)[(= ]*["'`(]?\s*(?:https?:)?//"""
)
LONGEST_FILE = 350


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_text_never_becomes_markup_or_a_program(path: Path) -> None:
    assert TEXT_BECOMES_MARKUP.findall(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_nothing_is_loaded_from_elsewhere(path: Path) -> None:
    assert LOADS_FROM_ELSEWHERE.findall(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_short_and_says_what_it_is(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("// ")
    assert len(lines) <= LONGEST_FILE


def test_the_page_has_no_script_nor_style_of_its_own_within() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<style|\sstyle=|\son\w+=", page) == []
    assert re.findall(r"<script(?![^>]*\ssrc=)", page) == []


def test_every_module_that_is_imported_is_there_and_those_of_the_start_are_named_in_the_page() -> (
    None
):
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    wanted = ["app.js"]
    for name in wanted:
        source = (STATIC / name).read_text(encoding="utf-8")
        wanted += [each for each in re.findall(r'from "\./([\w.]+)"', source) if each not in wanted]
        for later in re.findall(r'import\("\./([\w.]+)"\)', source):
            assert (STATIC / later).is_file()
    named = re.findall(r"rel='modulepreload' href='/static/([\w.]+)'", page)
    assert sorted(named) == sorted(set(wanted) - {"app.js"})


def test_the_plotting_library_comes_with_its_version_and_licence() -> None:
    notice = (STATIC / "NOTICE.txt").read_text(encoding="utf-8")
    version = re.search(r"uPlot \(v([\d.]+)\)", (STATIC / "uPlot.iife.min.js").read_text("utf-8"))
    assert version is not None
    assert f"uPlot {version[1]}" in notice
    assert "uPlot-LICENSE.txt" in notice
    assert "The MIT License" in (STATIC / "uPlot-LICENSE.txt").read_text(encoding="utf-8")
