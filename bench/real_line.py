"""The whole line on real boards: train, pack, flash, run, and compare the history.

``python bench/real_line.py --weights FILE.pth``; ``--run RUN`` takes a finished run
instead of training. Cameras: a folder of validation and held-out good boards, and both
real videos. Result: ``bench/results/real_line.json``.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from measuring.board_score import link_boards, score_boards
from measuring.machine import (
    REPOSITORY,
    RESULTS,
    configuration,
    describe_machine,
    write_result,
)

from demo.broker import free_port, start_broker
from demo.children import ChildCommand, Children, StopRequest
from demo.folder import demo_folder
from demo.history import HistoryClient
from models.errors import GraftlineError
from models.package import open_package

SHARED = Path(os.environ.get("GRAFTLINE_SHARED", REPOSITORY.parent / "shared"))
STEP_LIMIT_S = 4 * 3600.0
READY_LIMIT_S = 60.0
BOARDS = "boards"

EDGE_TOML = """\
[station]
site = "bench"
line = "line-1"
station = "station-1"
[model]
slot = "line-pc"
[broker]
port = {port}
collector_ack = "required"
[outbox]
path = "station/outbox.sqlite3"
[evidence]
folder = "station/evidence"
[[camera]]
name = "boards"
source = "folder:boards"
"""
VIDEO_TOML = """\
[[camera]]
name = "{name}"
source = "file:{path}"
"""


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    data = SHARED / "data"
    parser.add_argument("--dataset", type=Path, default=data / "pcb")
    parser.add_argument("--videos", type=Path, default=data / "videos")
    parser.add_argument("--run", type=Path, help="a finished run; else it is trained")
    parser.add_argument(
        "--weights", default=str(SHARED / "weights" / "yolox_nano_coco.pth")
    )
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, default=REPOSITORY / "bench" / "out" / "real-line"
    )
    parser.add_argument("--result", type=Path, default=RESULTS / "real_line.json")
    return parser.parse_args(arguments)


class RealLine:
    """One measurement."""

    def __init__(self, args: argparse.Namespace, children: Children) -> None:
        self._args, self._children = args, children
        self._out: Path = args.out
        self._steps: dict[str, float] = {}

    def measure(self) -> dict[str, Any]:
        """Run the line and return everything that was measured."""
        machine = describe_machine()
        run = self._args.run or self._out / "run"
        data, package = self._args.dataset, self._out / "package"
        trained = {} if self._args.run else self._train(run)
        evaluated = {"torch": self._json("evaluate", run, data, "--split", "val")}
        packed = self._json("pack", run, "--out", package, "--dataset", data)
        for variant in open_package(package).manifest.variants:
            arguments = (package, data, "--split", "val", "--variant", variant)
            evaluated[variant] = self._json("evaluate", *arguments)
        flashed = self._json("flash", package, f"local:{self._out / 'line-pc'}")
        return {
            "machine": machine,
            "configuration": configuration(self._args),
            "trained": trained,
            "evaluated": evaluated,
            "packed": packed,
            "flashed": flashed,
            **self._inspect(),
            "steps_s": self._steps,
        }

    def _train(self, run: Path) -> dict[str, Any]:
        args = self._args
        return self._json(
            *("train", args.dataset, "--weights", args.weights, "--out", run),
            *("--size", args.size, "--epochs", args.epochs, "--seed", args.seed),
        )

    def _inspect(self) -> dict[str, Any]:
        boards = link_boards(self._args.dataset, self._out / BOARDS)
        port, page_port = (
            start_broker(self._out, self._children, print_line, READY_LIMIT_S),
            free_port(),
        )
        history = self._open_dashboard(port, page_port)
        edge = self._out / "edge.toml"
        videos = sorted(self._args.videos.glob("*.mp4"))
        cameras = (
            VIDEO_TOML.format(name=f"video-{number}", path=path.resolve())
            for number, path in enumerate(videos)
        )
        edge.write_text(EDGE_TOML.format(port=port) + "".join(cameras), "utf-8")
        ran = self._json("run", "--config", edge, "--exit-at-end")
        rows = history.rows()
        published = sum(camera["alerts"] for camera in ran["cameras"].values())
        on_boards = [row for row in rows if row["camera"] == BOARDS]
        return {
            "ran": ran,
            "alerts_published": published,
            "alerts_in_history": len(rows),
            "alerts_with_picture": sum(row["has_image"] for row in rows),
            "ids_twice": len(rows) - len({row["id"] for row in rows}),
            "boards": score_boards(boards, on_boards).as_json(),
        }

    def _open_dashboard(self, port: int, page_port: int) -> HistoryClient:
        config = self._out / "dashboard.toml"
        text = f"[broker]\nport = {port}\n[server]\nport = {page_port}\n"
        config.write_text(text, "utf-8")
        arguments = ("graftline", "dashboard", "--config", str(config))
        self._children.start(ChildCommand("dashboard", arguments))
        history = HistoryClient(page_port)
        self._children.wait_until(lambda: history.is_ready, "page", READY_LIMIT_S)
        return history

    def _json(self, verb: str, *arguments: object) -> dict[str, Any]:
        name = f"{len(self._steps):02}-{verb}"
        output = self._out / f"{name}.json"
        typed = ("graftline", verb, *map(str, arguments), "--json")
        command = ChildCommand(name, typed, output)
        print_line(f"$ {command}")
        with self._timed(name):
            self._children.run(command, STEP_LIMIT_S)
        document: dict[str, Any] = json.loads(output.read_text("utf-8"))
        return document

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started_s = time.monotonic()
        yield
        self._steps[name] = round(time.monotonic() - started_s, 1)


def print_line(line: str) -> None:
    """Show a line."""
    print(line, flush=True)


def main(arguments: list[str]) -> int:
    """Measure and write the result.

    Returns:
        0; 1 where an alert is missing or there twice; else of the failed command.
    """
    args = parse(arguments)
    if args.run and args.run.resolve().is_relative_to(args.out.resolve()):
        print_line(
            f"--run {args.run} lies in {args.out}, which is replaced: move it first."
        )
        return 2
    stop = StopRequest()
    try:
        with ExitStack() as stack:
            stack.enter_context(stop.handling_signals())
            out = stack.enter_context(demo_folder(args.out))
            children = stack.enter_context(Children(out / "logs", stop, print_line))
            result = RealLine(args, children).measure()
    except GraftlineError as error:
        print_line(str(error))
        return error.exit_code
    write_result(args.result, result)
    print_line(json.dumps(result["boards"], indent=2))
    arrived = result["alerts_published"] == result["alerts_in_history"]
    return 0 if arrived and not result["ids_twice"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
