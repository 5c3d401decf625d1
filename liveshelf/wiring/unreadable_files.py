"""Warns about image files that no worker may read: those products would be searchable by title only, unnoticed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from streams.publish.catalogue_files import BadRow, CatalogueRow


class UnreadableFiles:
    """Counts products whose `file:` images lie outside the roots that the settings allow."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = [root.resolve() for root in roots]
        self._products = 0
        self._folder: Path | None = None

    def see(self, row: CatalogueRow | BadRow) -> None:
        images = row.event.get("images") if isinstance(row, CatalogueRow) else None
        urls = [url for url in images if isinstance(url, str)] if isinstance(images, list) else []
        files = [Path(unquote(urlsplit(url).path)) for url in urls if url.startswith("file:")]
        closed = [file for file in files if not any(file.is_relative_to(root) for root in self._roots)]
        if closed:
            self._products += 1
            self._folder = self._folder or closed[0].parent

    def warnings(self) -> list[str]:
        """One sentence if there are such products, else none."""
        if self._folder is None:
            return []
        return [
            f"{self._products} products name files as photos that LIVESHELF_IMAGE_FILE_ROOTS does not allow here: "
            "unless it does where the workers run, they are found by their titles alone. "
            f"Set it to {self._folder} or a folder above, start the workers again, and repeat the back-fill."
        ]
