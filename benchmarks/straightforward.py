"""The straightforward pipeline that liveshelf is held against, as a process of its own.

python -m benchmarks.straightforward --kafka HOST:PORT --qdrant URL --topic TOPIC --ready FILE
"""

from liveshelf.bench.straightforward import main

if __name__ == "__main__":
    main()
