"""The pages of the documentation, and the fenced blocks and commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# The changelog names what is gone.
PAGES = sorted(
    {*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "deploy").glob("*.md"), *(ROOT / "client").glob("*.md")}
    - {ROOT / "CHANGELOG.md"}
)

NEEDS = {"cluster", "gpu", "data", "hours", "clone", "network"}
RUNS = {"background"}

_BLOCK = re.compile(
    r"(?:^ *<!-- (needs|runs): (\S+) -->\n)?^( *)```(\w+)[^\n]*\n(.*?)^\3```$", re.MULTILINE | re.DOTALL
)
_END = re.compile(r"[|;<>&]+|#.*")
_ASSIGNMENT = re.compile(r"^[A-Z_]+=")


@dataclass(frozen=True)
class Block:
    """A fenced block; `needs` and `runs` are what the comment before it says, or None."""

    language: str
    text: str
    needs: str | None = None
    runs: str | None = None


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    return [
        Block(language, dedent(text), **({kind: value} if kind else {}))
        for kind, value, _, language, text in _BLOCK.findall(page.read_text("utf-8"))
    ]


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each `liveshelf ...` of a page, from its shell blocks and from code within sentences.

    "liveshelf needs ..." is an error sentence.
    """
    text = page.read_text("utf-8")
    for block in blocks(page):
        if block.language == "sh":
            for line in block.text.replace("\\\n", " ").splitlines():
                yield from _liveshelf(line)
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for code in re.findall(r"`([^`]+)`", outside):
        yield from _liveshelf(code.replace("\n", " "))


def _liveshelf(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # a line within a here-document
        return
    command: list[str] = []
    for word in [*words, ";"]:
        if _END.fullmatch(word):
            if command[1:] and command[0].rpartition("/")[2] == "liveshelf" and command[1] != "needs":
                yield ["liveshelf", *command[1:]]
            command = []
        elif command or not _ASSIGNMENT.match(word):
            command.append(word)


def prose(page: Path) -> Iterator[str]:
    """The sentences of a page, each code or link as one word; every list item, heading and table cell ends one."""
    text = re.sub(r"^<!--.*?-->$|^```.*?^```$|^    .*$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"`[^`]*`", "CODE", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"^(#+ |\s*[-*] |\s*\d+\. )", "\n\n", text, flags=re.MULTILINE)
    for paragraph in re.split(r"\n\s*\n|\||\n(?=#)", text):
        yield from (sentence for sentence in re.split(r"(?<=[.!?])\s+", paragraph.strip()) if sentence)
