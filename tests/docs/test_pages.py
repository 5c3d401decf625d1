"""The documents say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from liveshelf.cli import COMMANDS, main
from liveshelf.reference_pages import each_command, pages
from liveshelf.settings import Settings, variable

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_made_page_is_as_the_code_makes_it(name: str):
    assert (DOCS / name).read_text("utf-8") == pages()[name], "run: python -m liveshelf.reference_pages docs"


EVERY = {
    context.command_path: command for command, context in each_command(main, click.Context(main, info_name="liveshelf"))
}


@pytest.mark.parametrize("name", EVERY)
def test_every_command_and_option_has_help(name: str):
    command = EVERY[name]
    assert command.help
    assert [p.name for p in command.params if isinstance(p, click.Option) and not p.help] == []


@pytest.mark.parametrize("page", sorted(str(p.relative_to(ROOT)) for p in [*ROOT.glob("*.md"), *ROOT.glob("*/*.md")]))
def test_links_between_pages_lead_somewhere(page: str):
    file = ROOT / page
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", file.read_text("utf-8"))
    assert [link for link in links if not (file.parent / link).exists()] == []


def test_the_commands_that_the_readme_names_exist():
    text = (ROOT / "README.md").read_text("utf-8")
    code = re.findall(r"```sh\n(.*?)```|`([^`\n]+)`", text, re.S)
    named = {m for part in code for m in re.findall(r"(?:^|/)liveshelf ([a-z]+)", "".join(part), re.M)}
    assert named
    assert named <= set(COMMANDS)


def test_the_make_verbs_that_the_documents_name_exist():
    verbs = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text("utf-8"), re.M))
    text = "".join(p.read_text("utf-8") for p in [*ROOT.glob("*.md"), *DOCS.glob("*.md")])
    assert set(re.findall(r"`make ([a-z]+)", text)) <= verbs


@pytest.mark.parametrize("page", ["operations.md", "events.md", "evaluation.md"])
def test_the_commands_and_variables_of_a_page_exist(page: str):
    text = (DOCS / page).read_text("utf-8")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines()]
    typed = [line.split() for line in lines] + [said.split() for said in re.findall(r"`(liveshelf [^`]+)`", text)]
    for words in typed:
        path = max((name for name in EVERY if words[: len(name.split())] == name.split()), key=len)
        assert path != "liveshelf", words
        options = {option for param in EVERY[path].params for option in param.opts}
        assert {word for word in words if word.startswith("--")} <= options, words
    assert set(re.findall(r"LIVESHELF_[A-Z0-9_]+", text)) <= {variable(name) for name in Settings.model_fields}


def test_the_anchors_of_links_between_pages_are_headings():
    for file in [ROOT / "README.md", *DOCS.glob("*.md")]:
        for target, anchor in re.findall(r"\]\(([^)#:]+\.md)#([^)]+)\)", file.read_text("utf-8")):
            headings = re.findall(r"^#+ (.*)", (file.parent / target).read_text("utf-8"), re.M)
            assert anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}, (file, anchor)
