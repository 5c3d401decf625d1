from tests.fixtures_engine import engine as engine
