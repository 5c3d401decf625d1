"""The checks of a release: each installs into an environment of its own, or reads the built files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from release.artifacts import UV

BIN = Path(sys.executable).parent

# What a user of the client writes; the address is the first argument.
PROGRAM = """\
import sys

from liveshelf_client import Client, SearchResult

with Client(sys.argv[1]) as client:
    result: SearchResult = client.search("mug", limit=1)
    print(*(f"{hit.id} {hit.score:.1f}" for hit in result))
"""
HIT = {
    "id": "mug",
    "tenant": "default",
    "score": 0.5,
    "title": "Sea green mug",
    "price": 12.5,
    "currency": "EUR",
    "available": True,
    "attributes": {},
    "images": [],
    "image_state": "none",
    "image_reason": None,
    "age_s": 1.0,
}
ANSWER = {
    "hits": [HIT],
    "facets": {},
    "degraded": [],
    "took_ms": {"encode": 1.0, "search": 1.0, "total": 2.0},
    "space": "small",
    "mode": "dense",
}


def run(*command: str | Path, env: dict[str, str] | None = None) -> str:
    """The output of a command. Raises CalledProcessError if it fails; the error stream is shown."""
    arguments = [str(part) for part in command]
    done = subprocess.run(arguments, check=True, stdout=subprocess.PIPE, text=True, env=env)  # noqa: S603
    return done.stdout


def check_files(files: Sequence[Path]) -> None:
    """Metadata and content: twine for all files, check-wheel-contents for the wheels."""
    run(BIN / "twine", "check", "--strict", *files)
    # The server is an application of several top-level packages.
    wheels = [file for file in files if file.suffix == ".whl"]
    run(BIN / "check-wheel-contents", "--ignore=W009", *wheels)


def environment(folder: Path, *requirements: str | Path, constraints: bool = True, deps: bool = True) -> Path:
    """The interpreter of a new environment with these distributions."""
    run(UV, "venv", "--quiet", "--python", sys.executable, folder)
    python = folder / "bin" / "python"
    limits: list[str | Path] = ["--constraints", Path(__file__).parents[1] / "constraints.txt"] if constraints else []
    more = [] if deps else ["--no-deps"]
    run(UV, "pip", "install", "--quiet", "--python", python, *limits, *more, *requirements)
    return python


def check_client(folder: Path, wheel: Path) -> None:
    """The client alone: it imports, a user's program passes `mypy --strict`, and the program searches."""
    python = environment(folder / "client", wheel)
    program = folder / "program.py"
    program.write_text(PROGRAM, "utf-8")
    run(BIN / "mypy", "--strict", "--python-executable", python, "--cache-dir", folder / "mypy", program, env=clean())
    with answering() as url:
        printed = run(python, "-I", program, url)
    if printed != "mug 0.5\n":
        raise ValueError(f"the client's program printed {printed!r} instead of the hit")


def check_server(folder: Path, wheel: Path, client: Path) -> None:
    """The base install has a command line; the full install has every command."""
    for name, extra in (("base", ""), ("all", "[all]")):
        python = environment(folder / name, client, f"liveshelf{extra} @ {wheel.resolve().as_uri()}")
        command = python.parent / "liveshelf"
        version = run(command, "--version", env=clean())
        if wheel.name.split("-")[1] not in version:
            raise ValueError(f"liveshelf --version printed {version!r}, but the wheel is {wheel.name}")
        json.loads(run(command, "schema", env=clean()))
        needs = run(command, "--help", env=clean()).count("(needs liveshelf[")
        if (needs == 0) != bool(extra):
            raise ValueError(f"liveshelf{extra}: {needs} commands lack an extra")


def materials(folder: Path, file: Path) -> None:
    """The CycloneDX bill of materials of the full install that `check_server` made."""
    run(BIN / "cyclonedx-py", "environment", "--output-reproducible", "-o", file, folder / "all" / "bin" / "python")
    listed = json.loads(file.read_text("utf-8"))
    if not listed["components"]:
        raise ValueError(f"{file} lists no components")
    for component in listed["components"]:  # the paths of this machine are of no use to anybody
        references = component.get("externalReferences", [])
        component["externalReferences"] = [each for each in references if not each["url"].startswith("file:")]
    file.write_text(json.dumps(listed, indent=1) + "\n", "utf-8")


def audit(constraints: Path) -> int:
    """The status of pip-audit; 0 with a sentence if its data cannot be reached."""
    command: list[str | Path] = [
        BIN / "pip-audit",
        "--requirement",
        constraints,
        "--no-deps",
        "--disable-pip",
        "--progress-spinner=off",
    ]
    done = subprocess.run([*command, "--format=json", "--timeout=10"], capture_output=True, text=True)  # noqa: S603
    dependencies = json.loads(done.stdout)["dependencies"] if done.stdout.strip() else []
    checked = [dependency for dependency in dependencies if "skip_reason" not in dependency]
    if not checked:
        print("pip-audit: its data cannot be reached from here; no dependency was checked for known vulnerabilities")
        return 0
    vulnerable = [dependency for dependency in checked if dependency["vulns"]]
    for dependency in vulnerable:
        found = ", ".join(vulnerability["id"] for vulnerability in dependency["vulns"])
        print(f"pip-audit: {dependency['name']} {dependency['version']}: {found}")
    print(f"pip-audit: {len(vulnerable)} of {len(checked)} checked dependencies are vulnerable; ", end="")
    print(f"{len(dependencies) - len(checked)} could not be checked")
    return int(bool(vulnerable))


def clean() -> dict[str, str]:
    """The environment without this process's settings and module paths."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("LIVESHELF_", "PYTHON", "MYPY"))}


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self._answer()

    def _answer(self) -> None:
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged."""


@contextmanager
def answering() -> Iterator[str]:
    """The address of a server that answers every search with one hit."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
