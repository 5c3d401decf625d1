"""What a dry run of a back-fill reports: which columns were recognised, and one event as an example."""

from __future__ import annotations

import json
from pathlib import Path

from streams.publish.catalogue_files import CatalogueRow
from streams.publish.columns import Event

MOST_NAMES = 30
MOST_CHARS = 200  # of one text in the example, which may be a photo as a data: URL


class ColumnReport:
    """Gathers the columns of each file over its rows, because rows of JSON lines may differ."""

    def __init__(self) -> None:
        self._fields: dict[Path, dict[str, dict[str, None]]] = {}
        self._example: Event | None = None

    def add(self, row: CatalogueRow) -> None:
        fields = self._fields.setdefault(row.file, {})
        for field, columns in row.columns.fields.items() if row.columns else ():
            fields.setdefault(field, {}).update(dict.fromkeys(columns))
        if row.columns:
            fields.setdefault("attributes", {}).update(dict.fromkeys(row.event["attributes"]))
        self._example = self._example or row.event

    def lines(self) -> list[str]:
        """A line for each file, or for all files with the same columns, and the example."""
        files: dict[str, list[str]] = {}
        for file, fields in self._fields.items():
            files.setdefault(_described(fields), []).append(file.name)
        lines = [f"{names[0]}{f' and {len(names) - 1} more' if names[1:] else ''}: {d}" for d, names in files.items()]
        if self._example is not None:
            lines.append(f"An example: {json.dumps(_shortened(self._example), ensure_ascii=False)}")
        return lines


def _described(fields: dict[str, dict[str, None]]) -> str:
    if not fields:
        return "product events, taken as they are"
    recognised = " ".join(f"{field}={','.join(columns)}" for field, columns in fields.items() if field != "attributes")
    attributes = list(fields["attributes"])
    more = f" and {len(attributes) - MOST_NAMES} more" if attributes[MOST_NAMES:] else ""
    return f"{recognised}; attributes: {', '.join(attributes[:MOST_NAMES]) or 'none'}{more}"


def _shortened(value: object) -> object:
    if isinstance(value, dict):
        return {name: _shortened(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    return value[:MOST_CHARS] + "..." if isinstance(value, str) and len(value) > MOST_CHARS else value
