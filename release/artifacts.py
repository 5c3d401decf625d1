"""The files of a release."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path, PurePath

UV = Path(sys.executable).parent / "uv"


def build_distributions(root: Path, out: Path) -> tuple[list[Path], list[Path]]:
    """Wheel and sdist, in this order, of the server and of the client."""
    return build(root, out), build(root / "client", out)


def build(source: Path, out: Path) -> list[Path]:
    """Wheel and sdist of one distribution; the wheel is built from the sdist, so that the sdist is complete."""
    before = set(out.iterdir())
    command: list[str | Path] = [
        UV,
        "build",
        "--quiet",
        "--no-build-isolation",
        "--python",
        sys.executable,
        "--out-dir",
        out,
    ]
    subprocess.run([*command, source], check=True)  # noqa: S603 -- the arguments are paths of this project
    made = {file.suffix: file for file in set(out.iterdir()) - before}
    return [made[".whl"], made[".gz"]]


def build_context(root: Path, out: Path) -> Path:
    """The Dockerfile and what .dockerignore lets into the image, as an archive that `docker build -` reads."""
    archive = out / "image-context.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in ["Dockerfile", ".dockerignore", *allowed(root)]:
            tar.add(root / name, name, filter=_without_bytecode)
    return archive


def allowed(root: Path) -> list[str]:
    """The paths that .dockerignore names. Raises ValueError if it does not leave out everything else."""
    lines = [line for line in (root / ".dockerignore").read_text("utf-8").splitlines() if line and line[0] != "#"]
    if lines[0] != "*":
        raise ValueError(".dockerignore must begin with *")
    return [line.removeprefix("!") for line in lines if line.startswith("!")]


def _without_bytecode(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    path = PurePath(info.name)
    left_out = path.name == "__pycache__" or path.suffix in {".pyc", ".pyo"} or path.name.endswith(".egg-info")
    return None if left_out else info
