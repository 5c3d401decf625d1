"""python -m liveshelf.sample FOLDER"""

from __future__ import annotations

from pathlib import Path

import click
from rich.progress import Progress

from catalog.errors import LiveshelfError
from liveshelf.sample import draw


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--count", default=2400, show_default=True, type=click.IntRange(1, 50_000), help="Number of products.")
@click.option("--seed", default=7, show_default=True, help="Another seed draws other products.")
def main(folder: Path, count: int, seed: int) -> None:
    """Draw the sample catalogue into FOLDER and print the path of its products file."""
    with Progress(transient=True) as bar:
        task = bar.add_task("Drawing photos", total=count)
        try:
            path = draw(folder, count=count, seed=seed, progress=lambda done, _: bar.update(task, completed=done))
        except LiveshelfError as err:
            raise click.ClickException(str(err)) from err
    click.echo(path)


if __name__ == "__main__":
    main()
