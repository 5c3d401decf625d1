"""The pages of docs/ that are made from the code; `python -m liveshelf.reference_pages FOLDER` writes them."""

from __future__ import annotations

import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from types import UnionType

import click

from liveshelf.settings import Settings, variable

MADE = "<!-- Made by `python -m liveshelf.reference_pages docs`; change the code, not this page. -->\n"


def pages() -> dict[str, str]:
    """File name to text, of every page that is made."""
    from liveshelf.cli import main

    return {"cli.md": _commands(main), "settings.md": _settings()}


def _commands(main: click.Group) -> str:
    parts = [MADE, "# The command line\n"]
    for command, context in each_command(main, click.Context(main, info_name="liveshelf")):
        context.max_content_width = context.terminal_width = 100
        parts.append(f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def each_command(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """A command and, where it is a group, all below it."""
    yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            if inner := command.get_command(context, name):
                yield from each_command(inner, click.Context(inner, info_name=name, parent=context))


def _settings() -> str:
    rows = [
        f"| `{variable(name)}` | {_type(field.annotation)} | {_default(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    head = (
        "# Settings\n\nEvery process reads its settings from these environment variables, in which lists are "
        "comma-separated. It also reads the TOML file that `LIVESHELF_CONFIG` names. There, a key is the name in lower "
        "case without `LIVESHELF_`. The environment wins.\n"
    )
    return "\n".join([MADE, head, "| variable | type | default | what it is |", "|---|---|---|---|", *rows, ""])


def _type(annotation: object) -> str:
    args = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Annotated:
        return _type(args[0])
    if isinstance(annotation, UnionType) or typing.get_origin(annotation) is typing.Union:
        return _type(next(a for a in args if a is not type(None)))
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(f"`{a}`" for a in args)
    if typing.get_origin(annotation) is tuple:
        return "list"
    names = {"str": "text", "int": "integer", "float": "number", "bool": "`true` or `false`"}
    names |= {"Path": "path", "SecretStr": "secret text"}
    name = getattr(annotation, "__name__", str(annotation))
    return names.get(name, name)


def _default(value: object) -> str:
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{','.join(map(str, value)) if isinstance(value, tuple) else value}`"


if __name__ == "__main__":
    for name, text in pages().items():
        (Path(sys.argv[1]) / name).write_text(text, encoding="utf-8")
