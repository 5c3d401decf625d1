"""`python -m release`: both distributions, the image's build context and the bill of materials, built and checked."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from release.artifacts import build_context, build_distributions
from release.checks import audit, check_client, check_files, check_server, materials

ROOT = Path(__file__).parents[1]


def main() -> int:
    out = ROOT / "dist"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    server, client = build_distributions(ROOT, out)
    context = build_context(ROOT, out)
    check_files([*server, *client])
    with tempfile.TemporaryDirectory() as folder:
        check_client(Path(folder), client[0])
        check_server(Path(folder), server[0], client[0])
        materials(Path(folder), out / "liveshelf.cdx.json")
    for file in sorted([*server, *client, context, out / "liveshelf.cdx.json"]):
        print(f"{file.stat().st_size / 1e6:8.2f} MB  {file.relative_to(ROOT)}")
    return audit(ROOT / "constraints.txt")


if __name__ == "__main__":
    sys.exit(main())
