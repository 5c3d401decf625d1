"""The check command."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from catalog.errors import InvalidInput
from liveshelf.commands import options
from liveshelf.settings import Settings


@click.command()
@options.as_json
@click.pass_obj
def check(settings: Settings, *, as_json: bool) -> None:
    """Check settings, broker, index and model.

    Each line names a part, whether it works and what to do if it does not. The exit code is 1 if a part is wrong.

    \b
    Example:
      liveshelf check
    """
    from liveshelf.doctor import diagnose

    diagnoses = []
    for diagnosis in diagnose(settings):
        diagnoses.append(diagnosis)
        if not as_json:
            click.echo(f"{'ok   ' if diagnosis.ok else 'WRONG'}  {diagnosis.part}: {diagnosis.says}")
    if as_json:
        click.echo(json.dumps([asdict(diagnosis) for diagnosis in diagnoses], ensure_ascii=False, indent=2))
    if wrong := sum(not diagnosis.ok for diagnosis in diagnoses):
        raise InvalidInput(f"{wrong} {'thing is' if wrong == 1 else 'things are'} wrong; see above")
