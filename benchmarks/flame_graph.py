"""A flame graph of a worker that applies a back-fill.

    python -m benchmarks.flame_graph PATH OUT.svg [--limit N]

Needs `py-spy` (`pip install py-spy`), and permission to trace another process. A width is the number of samples of
Python threads that do not wait. OpenVINO's own threads are not sampled. A thread that waits for the interpreter lock
counts as working.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from collections.abc import Iterator
from html import escape
from pathlib import Path

import psutil

from liveshelf.bench.harness.catalogue import products
from liveshelf.bench.harness.changes import now_ms
from liveshelf.bench.harness.shop import open_shop
from liveshelf.settings import load_settings

WIDTH, ROW = 1200, 16
LEAST = 0.004  # of all samples; narrower frames are not drawn
LETTER = 6.2  # pixels
WAITS = ("EpollSelector.select (", "KqueueSelector.select (", "_worker (concurrent/", "Thread.run (")
PACKAGES = re.compile(r"\(/\S*?/(?:site-packages|lib/python3\.\d+)/")
COLOURS = ("#e8743b", "#eda548", "#d95f4b", "#f0b65f", "#e58f65")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--limit", type=int, default=4000, help="products to send")
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        open_shop(load_settings(), photos=args.path) as shop,
        shop.workers(1) as (worker,),
    ):
        raw = Path(folder) / "stacks"
        command = [
            "py-spy",
            "record",
            "--pid",
            str(worker.pid),
            "--threads",
            "--format",
            "raw",
            "--nolineno",
            "--nonblocking",
        ]
        with subprocess.Popen([*command, "--duration", "3600", "--output", str(raw)]) as profiler:
            before = cpu(worker.pid)
            sent, _ = shop.apply(products(args.path, args.limit, version=now_ms()), topic=shop.settings.backfill_topic)
            cpu_ms, loop_ms = (1000 * (now - then) / sent for now, then in zip(cpu(worker.pid), before, strict=True))
            profiler.send_signal(2)
        stacks = list(parse(raw.read_text("utf-8")))
    summary = f"{sent:,} products, {cpu_ms:.2f} ms of CPU each, {loop_ms:.2f} of them the event loop's"
    args.out.write_text(render(stacks, f"Python threads of a worker in a back-fill: {summary}"), "utf-8")
    print(summary)


def cpu(pid: int) -> tuple[float, float]:
    """CPU seconds of a process, and of its first thread, which runs the event loop."""
    process = psutil.Process(pid)
    times = process.cpu_times()
    first = next(thread for thread in process.threads() if thread.id == pid)
    return times.user + times.system, first.user_time + first.system_time


def parse(raw: str) -> Iterator[tuple[list[str], int]]:
    """Yields each stack, outermost frame first, and its samples. Merges threads of one kind; skips waiting threads."""
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [PACKAGES.sub("(", frame) for frame in stack.split(";")]
        if frames[-1].startswith(WAITS):
            continue
        frames[0] = re.sub(r"thread \(\w+\):? ?|[_-]?\d+$|\"", "", frames[0]).strip() or "thread"
        yield frames, int(count)


def render(stacks: list[tuple[list[str], int]], title: str) -> str:
    """The SVG: a rectangle for each frame, callees below their caller, the full name as a tooltip."""
    total = sum(count for _, count in stacks)
    shapes: list[str] = []
    depth = _draw(shapes, stacks, at=0.0, level=0, total=total)
    height = (depth + 2) * ROW
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="monospace" font-size="10">'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/><text x="4" y="11">{escape(title)}</text>'
        f"{''.join(shapes)}</svg>\n"
    )


def _draw(shapes: list[str], stacks: list[tuple[list[str], int]], *, at: float, level: int, total: int) -> int:
    """Adds the frames at `level`, the first at `at` samples. Returns the deepest level."""
    groups: dict[str, list[tuple[list[str], int]]] = {}
    for stack, count in stacks:
        if len(stack) > level:
            groups.setdefault(stack[level], []).append((stack, count))
    deepest = level
    for name, children in sorted(groups.items()):
        samples = sum(count for _, count in children)
        if samples >= LEAST * total:
            x, y, width = WIDTH * at / total, (level + 1) * ROW, WIDTH * samples / total
            letters = int((width - 4) / LETTER)
            shown = f'<text x="{x + 2:.0f}" y="{y + 11}">{escape(name[:letters])}</text>' if letters > 3 else ""
            shapes.append(
                f'<g><title>{escape(name)}, {samples / total:.1%}</title><rect x="{x:.1f}" y="{y}" width="{width:.1f}" '
                f'height="{ROW - 1}" fill="{COLOURS[len(name) % len(COLOURS)]}"/>{shown}</g>'
            )
            deepest = max(deepest, _draw(shapes, children, at=at, level=level + 1, total=total))
        at += samples
    return deepest


if __name__ == "__main__":
    main()
