"""The documents say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from liveshelf.cli import main
from liveshelf.reference_pages import each_command, pages
from liveshelf.settings import Settings, variable
from tests.docs.pages import DOCS, PAGES, ROOT, commands, name_of, prose

EVERY = {
    context.command_path: command for command, context in each_command(main, click.Context(main, info_name="liveshelf"))
}
# Variables that are not settings: the settings file, and what tests read.
OTHER_VARIABLES = re.compile(r"LIVESHELF_(CONFIG|NAME|TEST(_[A-Z_]+)?)")
LONGEST_SENTENCE = 35
PLAIN = ["README.md", "docs/concepts.md", "docs/tutorial.md", "docs/operations.md", "docs/settings.md"]


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_made_page_is_as_the_code_makes_it(name: str):
    assert (DOCS / name).read_text("utf-8") == pages()[name], "run: python -m liveshelf.reference_pages docs"


@pytest.mark.parametrize("name", EVERY)
def test_every_command_and_option_has_help(name: str):
    command = EVERY[name]
    assert command.help
    assert [p.name for p in command.params if isinstance(p, click.Option) and not p.help] == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=name_of)
def test_links_between_pages_lead_somewhere(page: Path):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=name_of)
def test_the_anchors_of_links_are_headings(page: Path):
    for target, anchor in re.findall(r"\]\(([^)#:]+\.md)?#([^)]+)\)", page.read_text("utf-8")):
        text = (page.parent / target if target else page).read_text("utf-8")
        headings = re.findall(r"^#+ (.*)", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M)
        assert anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}, (target, anchor)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_commands_of_a_page_exist(page: Path):
    for words in commands(page):
        path = max((name for name in EVERY if words[: len(name.split())] == name.split()), key=len)
        assert path != "liveshelf" or words[1].startswith("-"), words
        options = {option for param in EVERY[path].params for option in param.opts} | {"--help", "-h"}
        given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert given <= options, (words, given - options)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_variables_of_a_page_exist(page: Path):
    named = set(re.findall(r"LIVESHELF_[A-Z0-9_]*[A-Z0-9]", page.read_text("utf-8")))
    assert {name for name in named if not OTHER_VARIABLES.fullmatch(name)} <= {
        variable(name) for name in Settings.model_fields
    }


def test_commands_are_found_in_the_pages():
    assert sum(1 for page in PAGES for _ in commands(page)) > 100
    assert ["liveshelf", "produce"] in list(commands(DOCS / "tutorial.md"))


def test_the_make_verbs_that_the_documents_name_exist():
    verbs = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text("utf-8"), re.M))
    text = "".join(page.read_text("utf-8") for page in PAGES)
    assert set(re.findall(r"(?:`|^)make ([a-z]+)", text, re.M)) <= verbs
    assert {verb for verb in verbs if f"make {verb}" not in text} <= set()


@pytest.mark.parametrize("page", PLAIN)
def test_no_sentence_is_too_long(page: str):
    long = [sentence for sentence in prose(ROOT / page) if len(sentence.split()) > LONGEST_SENTENCE]
    assert long == []
