"""Commands that feed the shelf: produce, backfill."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import IO, Any

import click

from catalog.domain.record import Record, Reject
from catalog.errors import InvalidInput
from catalog.events.parser import ParsedEvent, ParserConfig, parse
from liveshelf.progress import bar
from liveshelf.settings import Settings
from liveshelf.wiring.kafka import kafka_of, topics_of
from liveshelf.wiring.parser_config import parser_config_of
from liveshelf.wiring.unreadable_files import UnreadableFiles
from streams.publish.catalogue_files import BadRow, Catalogue, CatalogueRow
from streams.publish.catalogue_files import backfill as publish_catalogue
from streams.publish.column_report import ColumnReport
from streams.publish.columns import ColumnOverrides
from streams.publish.publisher import Publisher
from streams.publish.wait_applied import wait_until_applied
from streams.topics import create_topics

SHOWN = 20
MAPPED = ("id", "title", "images", "price", "currency", "available", "version", "tenant")
PATIENCE_S = 24 * 3600.0


@click.command()
@click.argument("file", type=click.File("rb"), default="-")
@click.pass_obj
def produce(settings: Settings, *, file: IO[bytes]) -> None:
    """Send product events, one JSON object a line of FILE (standard input without one), to the live topic.

    Each is checked first; the first that is not an event ends the command, and those before it are sent. With
    LIVESHELF_MAPPING_FILE a line is what the mapping reads.
    """
    kafka, contract = kafka_of(settings), parser_config_of(settings)
    create_topics(kafka, topics_of(settings))
    sent = 0
    with Publisher(kafka, settings.live_topic, tenant=settings.default_tenant) as publisher:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            read = _read(line, contract)
            if not isinstance(read, ParsedEvent):
                publisher.flush()
                raise InvalidInput(f"line {number}: {read.reason}; the {sent} events before it were sent")
            publisher.send(read.change.key, line.strip())
            sent += 1
    click.echo(f"{sent} events are in {settings.live_topic}.", err=True)


@click.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--limit", type=click.IntRange(min=1), help="Read at most so many rows.")
@click.option("--dry-run", is_flag=True, help="Read and check every row, show the columns found, send nothing.")
@click.option(
    "--map",
    "mapping",
    multiple=True,
    metavar="FIELD=COLUMN",
    help=f"The column of one field: {', '.join(MAPPED)}. Fields without --map are found by name.",
)
@click.option(
    "--version", type=click.IntRange(min=0), help="Version of rows without one; if not given, now in milliseconds."
)
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until the workers have applied it all.")
@click.pass_obj
def backfill(
    settings: Settings,
    *,
    path: Path,
    limit: int | None,
    dry_run: bool,
    mapping: tuple[str, ...],
    version: int | None,
    wait: bool,
) -> None:
    """Send the catalogue at PATH through the back-fill topic: a parquet, JSONL, CSV or TSV file, or a folder of them.

    Fresher products of the live stream are left alone, and what has not changed is not encoded again, so a back-fill
    may be repeated at any time.
    """
    given = int(time.time() * 1000) if version is None else version
    catalogue = Catalogue(path, version=given, overrides=_columns(mapping))
    rows = catalogue.total
    total = min(rows, limit or rows)
    bad: list[BadRow] = []
    if dry_run:
        good = _check(catalogue, settings, total, bad)
        click.echo(f"{good} of {total} rows are events; nothing was sent.", err=True)
    else:
        good = _send(catalogue, settings, total, bad, wait=wait)
    for row in bad[:SHOWN]:
        click.echo(f"{row.file} row {row.row}: {row.reason}", err=True)
    if bad:
        raise InvalidInput(
            f"{len(bad)} of {total} rows are no events{', the first of them above' * (len(bad) > SHOWN)}"
        )


def _send(catalogue: Catalogue, settings: Settings, total: int, bad: list[BadRow], *, wait: bool) -> int:
    kafka, started = kafka_of(settings), time.monotonic()
    create_topics(kafka, topics_of(settings))
    with (
        Publisher(kafka, settings.backfill_topic, tenant=settings.default_tenant) as publisher,
        bar("sent", total) as done,
    ):
        rows, files = iter(range(1, total + 1)), UnreadableFiles(settings.image_file_roots)

        def on_row(row: CatalogueRow | BadRow) -> None:
            files.see(row)
            done(next(rows))

        result = publish_catalogue(catalogue, publisher, limit=total, on_row=on_row, on_bad=bad.append)
    for said in files.warnings():
        click.echo(said, err=True)
    if not wait:
        click.echo(f"{result.sent} events are in {settings.backfill_topic}.", err=True)
        return result.sent
    with bar("applied", result.sent) as done:
        wait_until_applied(
            kafka,
            settings.backfill_topic,
            result.ends,
            timeout_s=PATIENCE_S,
            on_progress=lambda left: done(max(0, result.sent - left)),
        )
    took = time.monotonic() - started
    click.echo(f"{result.sent} events applied in {took:.1f} s, {result.sent / took:.0f}/s.", err=True)
    return result.sent


def _check(catalogue: Catalogue, settings: Settings, total: int, bad: list[BadRow]) -> int:
    good, contract, files = 0, parser_config_of(settings), UnreadableFiles(settings.image_file_roots)
    columns = ColumnReport()
    with bar("checked", total) as done:
        for number, row in enumerate(catalogue, start=1):
            files.see(row)
            if isinstance(row, BadRow):
                bad.append(row)
            elif isinstance(read := _read(json.dumps(row.event).encode(), contract), Reject):
                bad.append(BadRow(row.file, row.row, read.reason))
            else:
                good += 1
                columns.add(row)
            done(number)
            if number == total:
                break
    for said in (*columns.lines(), *files.warnings()):
        click.echo(said, err=True)
    return good


def _read(line: bytes, contract: ParserConfig) -> ParsedEvent | Reject:
    """What the worker would make of these bytes."""
    now_ms = round(time.time() * 1000)
    read = parse(Record(None, line, "", 0, 0, now_ms), contract, now_ms=now_ms)
    assert read is not None  # noqa: S101 -- only a record without value is
    return read


def _columns(mapping: tuple[str, ...]) -> ColumnOverrides:
    overrides: dict[str, Any] = {}
    for option in mapping:
        field, _, column = option.partition("=")
        if field not in MAPPED or not column:
            raise InvalidInput(f"--map {option}: give FIELD=COLUMN, with a FIELD of {', '.join(MAPPED)}")
        overrides[field] = (*overrides.get(field, ()), column) if field == "images" else column
    return overrides
