"""What the benchmarks share: a shop of its own with workers, a catalogue's events, the encoder alone, tables."""

from liveshelf.bench.harness.catalogue import contents, encode_rate, products
from liveshelf.bench.harness.figures import Figure, number, table, used
from liveshelf.bench.harness.meter import Meter
from liveshelf.bench.harness.shop import Ends, Shop, open_shop

__all__ = [
    "Ends",
    "Figure",
    "Meter",
    "Shop",
    "contents",
    "encode_rate",
    "number",
    "open_shop",
    "products",
    "table",
    "used",
]
