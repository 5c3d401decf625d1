from tests.fixtures_engine import engine as engine
from tests.fixtures_engine import qdrant_url as qdrant_url
