from __future__ import annotations

from uuid import UUID

from embedded.broker.process import cluster_id


def test_a_cluster_id_never_looks_like_an_option():
    drawn = iter([UUID(bytes=b"\xf8" + bytes(15)), UUID(bytes=b"\x01" * 16)])
    assert cluster_id(lambda: next(drawn)) == "AQEBAQEBAQEBAQEBAQEBAQ"
