"""Commands that feed the shelf: produce, backfill."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import click

from catalog.domain.record import Record, Reject
from catalog.errors import InvalidInput
from catalog.events.parser import ParsedEvent, ParserConfig, parse
from liveshelf.commands import options
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
@click.option("--skip-bad", is_flag=True, help="Skip lines that are not events, and send the others.")
@click.option("--from-line", type=click.IntRange(min=1), default=1, help="First line to send, to resume after a stop.")
@options.as_json
@click.pass_obj
def produce(settings: Settings, *, file: IO[bytes], skip_bad: bool, from_line: int, as_json: bool) -> None:
    """Send product events to the live topic.

    FILE holds one JSON object a line; without FILE, standard input is read. The command checks each line. The first
    line that is not an event stops it, unless --skip-bad is given. With LIVESHELF_MAPPING_FILE, lines are records
    that the mapping reads.

    \b
    Example:
      liveshelf produce events.jsonl
      liveshelf produce events.jsonl --from-line 120
    """
    kafka, contract = kafka_of(settings), parser_config_of(settings)
    create_topics(kafka, topics_of(settings))
    sent = skipped = 0
    with Publisher(kafka, settings.live_topic, tenant=settings.default_tenant) as publisher:
        for number, line in enumerate(file, start=1):
            if number < from_line or not line.strip():
                continue
            event = _read(line, contract)
            if isinstance(event, ParsedEvent):
                publisher.send(event.change.key, line.strip())
                sent += 1
            elif skip_bad:
                skipped += 1
                if skipped <= SHOWN:
                    click.echo(f"line {number}: {event.reason}", err=True)
            else:
                publisher.flush()
                sent_before = f"{_events(sent)} before it {'was' if sent == 1 else 'were'} sent"
                raise InvalidInput(
                    f"line {number}: {event.reason}; {sent_before if sent else 'nothing was sent'}. Correct the line "
                    f"and continue with --from-line {number}, or leave it out with --skip-bad."
                )
    if as_json:
        click.echo(json.dumps({"topic": settings.live_topic, "sent": sent, "skipped": skipped}))
        return
    left_out = f" {skipped} {'line' if skipped == 1 else 'lines'} left out." if skipped else ""
    click.echo(f"{_events(sent)} sent to {settings.live_topic}.{left_out}", err=True)


@click.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--limit", type=click.IntRange(min=1), help="Largest number of rows to read.")
@click.option("--dry-run", is_flag=True, help="Read and check every row, show the columns, send nothing.")
@click.option(
    "--map",
    "mapping",
    multiple=True,
    metavar="FIELD=COLUMN",
    help=f"The column of one field: {', '.join(MAPPED)}. Fields without --map are found by name.",
)
@click.option(
    "--version",
    type=click.IntRange(min=0),
    help="Version of rows that have none. Default: the time now, in milliseconds.",
)
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until the workers applied every event.")
@options.as_json
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
    as_json: bool,
) -> None:
    """Send a catalogue through the back-fill topic.

    PATH is a parquet, JSONL, CSV or TSV file, or a folder of them. The workers skip products that are newer in the
    index and do not encode unchanged products again. So a back-fill can be repeated at any time.

    \b
    Example:
      liveshelf backfill shop.csv --dry-run
      liveshelf backfill shop.csv --map id=sku
    """
    given = int(time.time() * 1000) if version is None else version
    catalogue = Catalogue(path, version=given, overrides=_columns(mapping))
    for file in catalogue.left_out:
        click.echo(f"{file} is not read, because the folder has parquet or JSON-lines files: name it alone.", err=True)
    rows = catalogue.total
    total = min(rows, limit or rows)
    bad: list[BadRow] = []
    if dry_run:
        good = _check(catalogue, settings, total, bad)
        click.echo(f"{good} of {total} rows are events; nothing was sent.", err=True)
    else:
        good = _send(catalogue, settings, total, bad, wait=wait)
    if as_json:
        report = {"rows": total, "events": good, "sent": 0 if dry_run else good, "applied": wait and not dry_run}
        click.echo(json.dumps(report | {"bad_rows": [asdict(row) for row in bad]}, ensure_ascii=False, default=str))
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
    for line in files.warnings():
        click.echo(line, err=True)
    if not wait:
        click.echo(f"{result.sent} events are in {settings.backfill_topic}.", err=True)
        return result.sent
    try:
        with bar("applied", result.sent) as done:
            wait_until_applied(
                kafka,
                settings.backfill_topic,
                result.ends,
                timeout_s=PATIENCE_S,
                on_progress=lambda remaining: done(max(0, result.sent - remaining)),
            )
    except KeyboardInterrupt:
        click.echo(f"Stopped waiting. {_events(result.sent)} sent, and the workers continue to apply them.", err=True)
        raise SystemExit(130) from None
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
    for line in (*columns.lines(), *files.warnings()):
        click.echo(line, err=True)
    return good


def _read(line: bytes, contract: ParserConfig) -> ParsedEvent | Reject:
    """What the worker would make of these bytes."""
    now_ms = round(time.time() * 1000)
    read = parse(Record(None, line, "", 0, 0, now_ms), contract, now_ms=now_ms)
    assert read is not None  # noqa: S101 -- only a record without value is
    return read


def _events(count: int) -> str:
    return f"{count} {'event' if count == 1 else 'events'}"


def _columns(mapping: tuple[str, ...]) -> ColumnOverrides:
    overrides: dict[str, Any] = {}
    for option in mapping:
        field, _, column = option.partition("=")
        if field not in MAPPED or not column:
            raise InvalidInput(f"--map {option}: give FIELD=COLUMN, with a FIELD of {', '.join(MAPPED)}")
        overrides[field] = (*overrides.get(field, ()), column) if field == "images" else column
    return overrides
