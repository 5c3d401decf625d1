from __future__ import annotations

from evaluation.markdown import table


def test_rows_become_a_markdown_table_with_a_dash_where_a_figure_is_missing() -> None:
    said = table({"fused": {"recall@1": 0.5, "P@10": 1.0}, "photo": {"recall@1": 0.25}}, first="searched")
    assert said.splitlines() == [
        "| searched | recall@1 | P@10 |",
        "| --- | ---: | ---: |",
        "| fused | 0.500 | 1.000 |",
        "| photo | 0.250 | - |",
    ]
