"""The documentation is true: generated pages are current, every public noun is documented, links lead somewhere."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from credwatch import cli as recorder
from credwatch.settings import ROWS
from credwatch_agent import cli as agent
from docs import generate
from tests.documented import PAGES, ROOT


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_generated_page_is_current(name: str) -> None:
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == generate.PAGES[name](), "run `make docs`"


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    for row in ROWS.values():
        assert f"`{row.variable}`" in page


def test_every_command_is_documented() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    parser = argparse.ArgumentParser()
    subcommands = parser.add_subparsers()
    for register in recorder.COMMANDS:
        register(subcommands)
    assert [name for name in subcommands.choices if f"credwatch {name}" not in text] == []
    of_agent = [command.name for command in agent.app.registered_commands]
    assert [name for name in of_agent if f"credwatch-agent {name}" not in text and f"`{name} " not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_no_page_names_a_machine_or_a_registry() -> None:
    forbidden = re.compile(r"/(?:work|root|home)/\w|index-url|files\.pythonhosted", re.IGNORECASE)
    for page in [*PAGES, ROOT / "Makefile", ROOT / "pyproject.toml", *(ROOT / "requirements").iterdir()]:
        assert not forbidden.search(page.read_text(encoding="utf-8")), page.name


def test_each_threat_names_tests_that_exist_and_none_is_of_no_kind() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if re.match(r"\| [STRIDE ]+ \| ", line)]
    assert {kind for row in rows for kind in row[0].split()} == set("STRIDE")
    for _, threat, against, tests, *_ in rows:
        assert against, threat
        named = re.findall(r"`(tests/[\w/]+\.py)`", tests)
        assert named, threat
        assert [name for name in named if not (ROOT / name).exists()] == [], threat


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    shown = re.findall(r"^ +- ([\w./-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), flags=re.MULTILINE)
    pages = sorted(page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md"))
    assert sorted(shown) == pages
