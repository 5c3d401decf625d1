"""Kafka's jars: downloaded from Maven Central once, checked against the lock file at every start."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from embedded.errors import EmbeddedError

LOCK = Path(__file__).with_name("kafka.lock.toml")
DOWNLOADS_AT_ONCE = 8
ATTEMPTS = 3
TIMEOUT_S = 20


@dataclass(frozen=True)
class Jar:
    """One locked file: Maven's `group:artifact:version` and the sha256 of its bytes."""

    coordinate: str
    sha256: str

    @property
    def filename(self) -> str:
        """The name in the cache folder, as Maven names it."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


@cache
def locked() -> tuple[Jar, ...]:
    """The jars of the lock file, in its order, which is the order of the class path."""
    return tuple(Jar(**entry) for entry in tomllib.loads(LOCK.read_text())["jar"])


def fetch(
    cache: Path, *, repository: str | None = None, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Path]:
    """Download the jars missing from the cache, check them, and return every jar of the class path.

    `repository` is the address of a Maven repository to use instead of Maven Central. `progress` gets the number of
    jars downloaded, and of those to download. Raises EmbeddedError if a
    download fails or its sha256 differs from the lock file. Jars that arrived before stay in the cache.
    """
    folder = _folder(cache)
    missing = [jar for jar in locked() if not _intact(folder / jar.filename, jar)]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as staging:
            _download(missing, folder, Path(staging), repository, progress)
    return [folder / jar.filename for jar in locked()]


def present(cache: Path) -> list[Path]:
    """Every jar of the class path, without network. Raises EmbeddedError if one is missing or differs from the lock."""
    folder = _folder(cache)
    bad = [jar.filename for jar in locked() if not _intact(folder / jar.filename, jar)]
    if bad:
        raise EmbeddedError(
            f"{len(bad)} of the broker's {len(locked())} jars are missing from {folder} or differ from the lock file "
            f"(the first is {bad[0]}): run `python -m embedded.broker fetch --cache {cache}`, which needs the network."
        )
    return [folder / jar.filename for jar in locked()]


def digest(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folder(cache: Path) -> Path:
    return cache.expanduser() / "kafka"


def _intact(path: Path, jar: Jar) -> bool:
    return path.is_file() and digest(path) == jar.sha256


def _download(
    jars: Sequence[Jar], folder: Path, staging: Path, repository: str | None, progress: Callable[[int, int], None]
) -> None:
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        futures = [pool.submit(_download_one, jar, folder, staging, repository) for jar in jars]
        try:
            for done, future in enumerate(futures, start=1):
                future.result()
                progress(done, len(jars))
        except EmbeddedError:
            pool.shutdown(cancel_futures=True)
            raise


def _download_one(jar: Jar, folder: Path, staging: Path, repository: str | None) -> None:
    # Importing jgo, with its HTTP client, takes longer than checking every jar, so only for a download.
    import requests
    from jgo.maven import MavenContext

    remotes = None if repository is None else {"given": repository.rstrip("/")}
    reason = ""
    for attempt in range(ATTEMPTS):
        repo = staging / f"{jar.filename}-{attempt}"
        context = MavenContext(repo_cache=repo, remote_repos=remotes, timeout=TIMEOUT_S)
        try:
            arrived = context.create_dependency(jar.coordinate).artifact.resolve()
            if digest(arrived) == jar.sha256:
                arrived.replace(folder / jar.filename)
                return
            reason = "it differs from the lock file"
        except (requests.RequestException, RuntimeError, OSError) as error:
            reason = f"{type(error).__name__}"
        finally:
            shutil.rmtree(repo, ignore_errors=True)
    raise EmbeddedError(
        f"The broker's {jar.filename} cannot be downloaded from {repository or 'Maven Central'} ({reason}): "
        f"check the network and run the command again; completed downloads are kept."
    )
