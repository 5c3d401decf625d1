"""A back-fill through the real broker."""

from __future__ import annotations

import json
from pathlib import Path

from streams.kafka_client import read_topic
from streams.publish.catalogue_files import BadRow, Catalogue, backfill
from streams.publish.publisher import Publisher, PublishPolicy
from tests.integration.streaming import new_place


def test_every_row_is_published_or_named(broker: str, tmp_path: Path) -> None:
    rows = [{"id": i, "title": f"t{i}", "note": "x" * (5_000 if i == 3 else 5)} for i in range(50)]
    rows.append({"title": "nobody"})
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    place, bad, ticks = new_place(broker), list[BadRow](), list[None]()
    catalogue = Catalogue(tmp_path, version=1_700_000_000_000)
    with Publisher(place.kafka, place.topics.backfill, policy=PublishPolicy(max_bytes=2_000)) as publisher:
        result = backfill(catalogue, publisher, on_row=lambda row: ticks.append(None), on_bad=bad.append)
    assert (result.sent, result.refused, len(ticks), catalogue.total) == (49, 2, 51, 51)
    assert sum(result.ends.values()) == 49
    assert [b.row for b in bad] == [4, 51]
    assert "product 3 has" in bad[0].reason
    events = [json.loads(message.value) for message in read_topic(place.kafka, place.topics.backfill)]
    assert {event["version"] for event in events} == {1_700_000_000_000}
    assert {event["id"] for event in events} == {str(i) for i in range(50) if i != 3}


def test_a_limit_stops_early(broker: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"id": {i}, "title": "t"}}\n' for i in range(50)))
    place = new_place(broker)
    with Publisher(place.kafka, place.topics.backfill) as publisher:
        assert backfill(Catalogue(tmp_path, version=1), publisher, limit=10).sent == 10
