"""The quarantine commands: list, show, replay, purge."""

from __future__ import annotations

import functools
import heapq
import json
from collections.abc import Callable, Iterator
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from catalog.domain.record import Stage
from catalog.errors import InvalidInput
from catalog.events.parser import product_keys_in
from liveshelf.commands import options
from liveshelf.commands.times import When, shown
from liveshelf.progress import bar
from liveshelf.settings import Settings
from liveshelf.wiring.kafka import kafka_of, topics_of
from liveshelf.wiring.parser_config import parser_config_of
from streams.quarantine.replay import plan
from streams.quarantine.replay import replay as send_back
from streams.quarantine.selection import Removable, Selection, entry_at, everything, removable, remove, select
from streams.quarantine.topic import QuarantineEntry

REASON_WIDTH = 70
PRODUCT_WIDTH = 40
SHOWN = 50
REPLAYED = {"no": False, "yes": True, "any": None}


@click.group(cls=options.Group)
def quarantine() -> None:
    """List, replay and purge refused records.

    Records that cannot be applied go to the quarantine topic, unchanged and with the reason.

    \b
    Example:
      liveshelf quarantine list
      liveshelf quarantine replay --since 2h
    """


def _choosing(replayed: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Options that make a Selection, which the command gets as `choice`; `replayed` is their default."""
    options = (
        click.option(
            "--stage", type=click.Choice([stage.value for stage in Stage]), help="Stage that refused the record."
        ),
        click.option("--reason", metavar="TEXT", help="Text in the reason; upper and lower case match."),
        click.option("--since", type=When(), help="Refused at that time or later: an ISO time, or an age such as 2h."),
        click.option("--until", type=When(), help="Refused before that time: an ISO time, or an age such as 2h."),
        click.option("--product", metavar="ID", help="Id of the product, in the key or the value of the record."),
        click.option("--tenant", help="Tenant of the product."),
        click.option("--limit", type=click.IntRange(min=1), help="Largest number of records."),
        click.option(
            "--replayed",
            type=click.Choice([*REPLAYED]),
            default=replayed,
            show_default=True,
            help="Whether the record was replayed before.",
        ),
    )

    def wrap(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def chosen(settings: Settings, **given: Any) -> None:
            names = ("reason", "since", "until", "product", "tenant", "limit")
            fields = {name: given.pop(name) for name in names}
            stage, replayed = given.pop("stage"), REPLAYED[given.pop("replayed")]
            choice = Selection(stage=stage and Stage(stage), replayed=replayed, **fields)
            command(settings, choice=choice, **given)

        return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), chosen)

    return wrap


@quarantine.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, in the order of the topic.")
@click.pass_obj
@_choosing("no")
def list_(settings: Settings, *, choice: Selection, as_json: bool) -> None:
    """List refused records.

    The table shows the newest 50, unless --limit is given.

    \b
    Example:
      liveshelf quarantine list --since 1d
      liveshelf quarantine list --json
    """
    rows = (_row(entry, settings) for entry in _entries(settings, choice, everything=as_json))
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
        return
    counted = _Counted(rows)
    most = choice.limit or SHOWN
    newest = heapq.nlargest(most, counted, key=lambda row: (row["quarantined_at"], row["place"]))
    if newest:
        Console(width=None if Console().is_terminal else 200).print(_table(newest[::-1]))
    more = f"; the newest {most} are shown" if counted.count > most else ""
    click.echo(f"{counted.count} records{more}." if counted.count else "Nothing.", err=True)


@quarantine.command()
@click.argument("place", metavar="PARTITION:OFFSET")
@click.option("--raw", is_flag=True, help="Print only the bytes of the value.")
@click.pass_obj
def show(settings: Settings, *, place: str, raw: bool) -> None:
    """Print one record and the reason for its refusal.

    `liveshelf quarantine list` shows its partition and offset.

    \b
    Example:
      liveshelf quarantine show 0:17
    """
    entry = entry_at(kafka_of(settings), settings.quarantine_topic, _place(place))
    value = entry.reject.record.value
    if raw:
        click.echo(value or b"", nl=False)
        return
    row = _row(entry, settings)
    details = {
        "refused": f"{shown(row['quarantined_at'])} at stage {row['stage']}",
        "reason": row["reason"],
        "from": f"{row['source']}, of {shown(entry.reject.record.timestamp)} ({entry.reject.record.timestamp} ms)",
        "product": ", ".join(row["products"]) or "none that can be read",
        "key": _text(entry.reject.record.key),
        "sent back": "no" if entry.replayed_at is None else shown(entry.replayed_at),
    }
    for name, text in details.items():
        click.echo(f"{name + ':':<11}{_printable(text)}")
    click.echo(f"{'value:':<11}{'none: the record deletes the product' if value is None else f'{len(value)} bytes'}")
    if value:
        click.echo(_printable(_text(value)))


@quarantine.command()
@click.option("--dry-run", is_flag=True, help="Show what would be sent, send nothing.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.pass_obj
@_choosing("no")
def replay(settings: Settings, *, choice: Selection, dry_run: bool, yes: bool) -> None:
    """Send records back to the topic they came from.

    Key, bytes and timestamp stay the same. Events that are older than the index change nothing, so a replay can be
    repeated. Records that are refused again return to quarantine.

    \b
    Example:
      liveshelf quarantine replay --reason price --dry-run
    """
    kafka, topics, contract = kafka_of(settings), topics_of(settings), parser_config_of(settings)
    planned = plan(kafka, topics, select(kafka, topics.quarantine, choice, contract), contract)
    for why, count in planned.left_out.items():
        click.echo(f"{count} left out: {why}.", err=True)
    for topic, count in planned.topics.items():
        click.echo(f"{count} for {topic}.", err=True)
    for topic, count in planned.old.items():
        click.echo(
            f"{count} of these are older than the retention of {topic}, and the broker may drop them within minutes: "
            "let a worker run.",
            err=True,
        )
    total = len(planned.places)
    if not total or dry_run:
        click.echo(f"{total} would be sent." if dry_run else "There is nothing to send.", err=True)
        return
    if not yes:
        click.confirm(f"Send {total} records back?", abort=True, err=True)
    with bar("sent", total) as done:
        sent = send_back(kafka, topics, planned.places, on_sent=done)
    click.echo(f"{sent} of {total} records were sent back.", err=True)


@quarantine.command()
@click.option("--all", "all_", is_flag=True, help="Remove every record of the topic.")
@click.option("--dry-run", is_flag=True, help="Show what would be removed, remove nothing.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.pass_obj
@_choosing("any")
def purge(settings: Settings, *, choice: Selection, all_: bool, dry_run: bool, yes: bool) -> None:
    """Remove records for good.

    Kafka can delete only the oldest records of a partition. So a chosen record stays if an older record of its
    partition is not chosen. With --until as the only filter, every record before that time is removed.

    \b
    Example:
      liveshelf quarantine purge --until 30d --dry-run
    """
    kafka, topic = kafka_of(settings), settings.quarantine_topic
    if all_ == (choice != Selection()):
        raise InvalidInput("Say what to remove: --all, or at least one of --until and the other filters, and not both.")
    what = everything(kafka, topic) if all_ else removable(kafka, topic, choice, parser_config_of(settings))
    if what.left:
        click.echo(_staying(what), err=True)
    if not what.ends or dry_run:
        click.echo(
            f"{what.entries} would be removed." if dry_run else "There is nothing that can be removed.", err=True
        )
        return
    if not yes:
        click.confirm(f"Remove {what.entries} records for good?", abort=True, err=True)
    remove(kafka, topic, what)
    click.echo(f"{what.entries} records were removed.", err=True)


def _staying(what: Removable) -> str:
    return (
        f"{what.left} more are meant and stay: older records that are not meant lie before them in their partition, "
        "and Kafka deletes only the oldest. --until removes those too."
    )


def _entries(settings: Settings, choice: Selection, *, everything: bool) -> Iterator[QuarantineEntry]:
    """In the order they are kept; a table takes its newest of them all."""
    meant = choice if everything else choice.unlimited()
    return select(kafka_of(settings), settings.quarantine_topic, meant, parser_config_of(settings))


class _Counted:
    """An iterable that knows how many went by."""

    def __init__(self, rows: Iterator[dict[str, Any]]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row in self._rows:
            self.count += 1
            yield row


def _row(entry: QuarantineEntry, settings: Settings) -> dict[str, Any]:
    record = entry.reject.record
    keys = sorted(product_keys_in(record, parser_config_of(settings)))
    return {
        "place": f"{entry.partition}:{entry.offset}",
        "quarantined_at": entry.quarantined_at,
        "stage": entry.reject.stage.value,
        "reason": entry.reject.reason,
        "source": f"{record.topic}:{record.partition}:{record.offset}",
        "timestamp": record.timestamp,
        "products": [f"{key.tenant}/{key.id}" for key in keys],
        "key": _text(record.key),
        "bytes": None if record.value is None else len(record.value),
        "replayed_at": entry.replayed_at,
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("refused (UTC)", "stage", "product", "reason", "source", "place", "sent back"):
        table.add_column(heading, no_wrap=heading not in ("product", "reason"))
    for row in rows:
        back = "" if row["replayed_at"] is None else shown(row["replayed_at"])
        product = _short(row["products"][0] if row["products"] else row["key"], PRODUCT_WIDTH)
        reason = _short(row["reason"], REASON_WIDTH)
        cells = (shown(row["quarantined_at"]), row["stage"], product, reason, row["source"], row["place"], back)
        table.add_row(*(Text(_printable(cell)) for cell in cells))
    return table


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _text(raw: bytes | None) -> str:
    """Bytes as text, as hexadecimal digits where they are none."""
    if raw is None:
        return ""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.hex(" ")


def _printable(text: str) -> str:
    """Without what would move a terminal's cursor: a record is somebody else's text."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def _place(text: str) -> tuple[int, int]:
    partition, _, offset = text.partition(":")
    if not (partition.isdecimal() and offset.isdecimal()):
        raise InvalidInput(
            f"{text} is no place in quarantine: give PARTITION:OFFSET, as `liveshelf quarantine list` shows it."
        )
    return int(partition), int(offset)
