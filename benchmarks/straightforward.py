"""The straightforward pipeline that liveshelf is held against, as a process of its own.

LIVESHELF_READY_FILE=FILE [other LIVESHELF_ settings] python -m benchmarks.straightforward
"""

from liveshelf.bench.baselines.simple_pipeline import main

if __name__ == "__main__":
    main()
