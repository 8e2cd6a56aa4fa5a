"""Real videos as endless cameras, which must stay ``up`` without alarms.

``python bench/videos.py --package PACKAGE``: flashes the package into a folder (else
that of ``bench/edge.py``), runs the daemon with every video looped, each at ``--pace``
times its own pace, until each camera has shown ``--minutes`` minutes of its own time.
Every change of state on the status topics is recorded. Result:
``bench/results/videos.json``.
"""

import argparse
import json
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import paho.mqtt.client as mqtt
from measuring.machine import (
    REPOSITORY,
    RESULTS,
    configuration,
    describe_machine,
    write_result,
)

from demo.broker import LOOPBACK, start_broker
from demo.children import ChildCommand, Children, StopRequest
from demo.folder import demo_folder
from models.errors import GraftlineError

SHARED = Path(os.environ.get("GRAFTLINE_SHARED", REPOSITORY.parent / "shared"))
READY_LIMIT_S = 60.0
STATUS_TOPIC = "graftline/bench/line-1/station-1/camera/+/status"

EDGE_TOML = """\
[station]
site = "bench"
line = "line-1"
station = "station-1"
[model]
slot = "line-pc"
[broker]
port = {port}
collector_ack = "off"
[outbox]
path = "station/outbox.sqlite3"
[evidence]
folder = "station/evidence"
"""
VIDEO_TOML = """\
[[camera]]
name = "{name}"
source = "file:{path}"
loops = true
fps = {fps}
"""


class CameraStates:
    """Records the states that cameras publish."""

    def __init__(self, port: int) -> None:
        self.by_camera: dict[str, list[str]] = {}
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._client.on_message = self._note
        self._client.connect(LOOPBACK, port)
        self._client.subscribe(STATUS_TOPIC, qos=1)
        self._client.loop_start()

    def _note(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        name, status = message.topic.split("/")[-2], json.loads(message.payload)
        state = f"{status['state']} {status['reason']}".strip()
        states = self.by_camera.setdefault(name, [])
        if not states or states[-1] != state:
            states.append(state)

    def close(self) -> None:
        """Disconnect from the broker."""
        self._client.disconnect()
        self._client.loop_stop()


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    made = REPOSITORY / "bench" / "out" / "edge" / "package"
    parser.add_argument("--package", type=Path, default=made, help="edge.py makes one")
    parser.add_argument("--videos", type=Path, default=SHARED / "data" / "videos")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--pace", type=float, default=8)
    parser.add_argument(
        "--out", type=Path, default=REPOSITORY / "bench" / "out" / "videos"
    )
    parser.add_argument("--result", type=Path, default=RESULTS / "videos.json")
    return parser.parse_args(arguments)


def own_fps(path: Path) -> float:
    """Return a video's own pace, frames per second."""
    capture = cv2.VideoCapture(str(path))
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    capture.release()
    return fps


def measure(args: argparse.Namespace, children: Children) -> dict[str, Any]:
    """Run the daemon over the videos and return its figures and the states."""
    machine, out = describe_machine(), args.out
    target = f"local:{out / 'line-pc'}"
    flash = ChildCommand("flash", ("graftline", "flash", str(args.package), target))
    children.run(flash, READY_LIMIT_S)
    port = start_broker(out, children, print_line, READY_LIMIT_S)
    videos = {f"video-{n}": p for n, p in enumerate(sorted(args.videos.glob("*.mp4")))}
    fps = {name: own_fps(path) for name, path in videos.items()}
    edge = out / "edge.toml"
    cameras = (
        VIDEO_TOML.format(name=n, path=p.resolve(), fps=fps[n] * args.pace)
        for n, p in videos.items()
    )
    edge.write_text(EDGE_TOML.format(port=port) + "".join(cameras), "utf-8")
    states = CameraStates(port)
    ran = run_for(args.minutes * 60 / args.pace, edge, out / "run.json", children)
    states.close()
    shown = {
        name: {
            "file": path.name,
            "own_fps": round(fps[name], 3),
            "minutes_of_its_time": round(
                ran["cameras"][name]["frames_captured"] / fps[name] / 60, 2
            ),
            "said": states.by_camera.get(name, []),
            **ran["cameras"][name],
        }
        for name, path in videos.items()
    }
    return {
        "machine": machine,
        "configuration": configuration(args),
        "seconds": ran["seconds"],
        "cameras": shown,
    }


def run_for(
    seconds: float, edge: Path, output: Path, children: Children
) -> dict[str, Any]:
    """Run the daemon for a while, stop it in order, and return its figures."""
    arguments = ("graftline", "run", "--config", str(edge), "--json")
    daemon = children.start(ChildCommand("run", arguments, output))
    print_line(f"inspecting for {seconds:.0f} s")
    deadline = time.monotonic() + seconds
    children.wait_until(
        lambda: time.monotonic() > deadline, "end", seconds + READY_LIMIT_S
    )
    daemon.stop()
    document: dict[str, Any] = json.loads(output.read_text("utf-8"))
    return document


def print_line(line: str) -> None:
    """Show a line."""
    print(line, flush=True)


def main(arguments: list[str]) -> int:
    """Measure and write the result.

    Returns:
        0; 1 where a camera had another state than opening or up.
    """
    args, stop = parse(arguments), StopRequest()
    try:
        with ExitStack() as stack:
            stack.enter_context(stop.handling_signals())
            out = stack.enter_context(demo_folder(args.out))
            children = stack.enter_context(Children(out / "logs", stop, print_line))
            result = measure(args, children)
    except GraftlineError as error:
        print_line(str(error))
        return error.exit_code
    write_result(args.result, result)
    print_line(json.dumps(result["cameras"], indent=2))
    states = {
        state for camera in result["cameras"].values() for state in camera["said"]
    }
    return 0 if states <= {"degraded opening", "up"} else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
