"""The verb ``capture``: photos of a camera, to train on."""

import argparse
import contextlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge.cameras.source import GRAMMAR, parse_source
from models.counted import counted
from models.errors import ConfigError, ExitCode
from models.shown_text import on_one_line, without_login

if TYPE_CHECKING:
    from edge.capture import CaptureResult
    from edge.config.camera import CameraSettings

COUNT, EVERY_S = 100, 1.0
LINES = 10  # of progress where no terminal reads them
CAMERA = "camera"  # start of the file names where no configuration names it


def add_capture_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``graftline capture``."""
    parser.add_argument("source", nargs="?", metavar="SOURCE", help=GRAMMAR)
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="take the camera of a configuration instead, with its settings",
    )
    parser.add_argument(
        "--camera",
        metavar="NAME",
        help="which camera of the configuration; not needed if there is one",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="where photos are added, for example photos/good",
    )
    parser.add_argument(
        "--count",
        type=_photos,
        default=COUNT,
        metavar="N",
        help=f"photos to save (default {COUNT})",
    )
    parser.add_argument(
        "--every",
        type=_seconds,
        default=EVERY_S,
        metavar="SECONDS",
        help=f"least time between two photos (default {EVERY_S:g})",
    )
    parser.add_argument(
        "--jpeg",
        action="store_true",
        help="save JPEG files: smaller than PNG, with small losses",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the result as one JSON"
    )


def run_capture(args: argparse.Namespace) -> int:
    """Save photos of a camera, and print how many.

    Returns:
        Exit code: 0, or 130 after Ctrl-C.

    Raises:
        ConfigError: The camera is not given, or not in the configuration.
        GraftlineError: See ``edge.capture.capture_photos``.
    """
    from edge.capture import CaptureOptions, capture_photos  # noqa: PLC0415 (--help needs none of it)
    from edge.control.signals import StopSignal  # noqa: PLC0415
    from edge.inspection.camera_set import capture_plan  # noqa: PLC0415

    settings = _camera_settings(args)
    # The frames are not checked: a baseline that does not exist yet is not learned.
    unchecked = replace(settings.health, enabled=False, baseline=None)
    settings = settings.model_copy(update={"health": unchecked, "loops": False})
    plan = replace(capture_plan(settings), keeps_every_frame=False)
    options = CaptureOptions(args.out, args.count, args.every, args.jpeg)
    stop, progress = StopSignal(), _Progress(args.count)
    with stop.listening():
        result = capture_photos(plan, options, stop, progress.photo, progress.message)
    progress.close()
    if args.json:
        print(json.dumps(result.as_json()))
    else:
        print(_sentence(result))
    return ExitCode.INTERRUPTED if result.ended_by == "signal" else ExitCode.OK


def _sentence(result: "CaptureResult") -> str:
    saved = f"{result.folder}: {counted(result.photos, 'photo')} saved"
    if result.photos < result.wanted:
        saved += f", of {result.wanted} wanted"
    if result.unchanged:
        saved += (
            f"; {counted(result.unchanged, 'frame')} like the photo before left out"
        )
    return f"{saved}."


def _camera_settings(args: argparse.Namespace) -> "CameraSettings":
    """Return the camera that the arguments name.

    Raises:
        ConfigError: They name none.
    """
    from edge.config.camera import CameraSettings  # noqa: PLC0415
    from edge.config.station import load_edge_config  # noqa: PLC0415

    if (args.source is None) == (args.config is None):
        raise ConfigError(
            "capture: give SOURCE or --config.",
            why="The camera is named by one of them.",
            fix="For example: graftline capture v4l2:/dev/video0 --out photos/good",
        )
    if args.camera is not None and args.config is None:
        raise ConfigError(
            "capture: --camera without --config.",
            why="It names a camera of a configuration.",
            fix="Give --config, or leave --camera out.",
        )
    if args.config is None:
        try:
            return CameraSettings(name=CAMERA, source=parse_source(args.source))
        except ValueError as exc:
            text = without_login(args.source)
            raise ConfigError(
                f"capture: {text}: not a camera.",
                why=f"{exc}.",
                fix="Correct SOURCE.",
            ) from None
    cameras = {camera.name: camera for camera in load_edge_config(args.config).camera}
    if args.camera in cameras:
        return cameras[args.camera]
    if args.camera is None and len(cameras) == 1:
        return next(iter(cameras.values()))
    wanted = "no --camera" if args.camera is None else f"no camera {args.camera!r}"
    raise ConfigError(
        f"{args.config}: {wanted}.",
        why=f"It has {', '.join(cameras)}.",
        fix="Give one of them with --camera.",
    )


class _Progress:
    """The number of photos, on one line of a terminal or on ten lines elsewhere."""

    def __init__(self, count: int) -> None:
        self._count, self._is_terminal = count, sys.stderr.isatty()
        self._has_line = False

    def photo(self, number: int) -> None:
        """Show that a photo was saved."""
        text = f"{number} of {counted(self._count, 'photo')}"
        if self._is_terminal:
            self._print(f"\r{text}", end="")
            self._has_line = True
        elif number % max(1, self._count // LINES) == 0 or number == self._count:
            self._print(text)

    def message(self, text: str) -> None:
        """Show a message on a line of its own."""
        self.close()
        self._print(on_one_line(text))

    def close(self) -> None:
        """End the line."""
        if self._has_line:
            self._print("")
        self._has_line = False

    def _print(self, text: str, end: str = "\n") -> None:
        with contextlib.suppress(OSError):  # who reads the terminal may be gone
            print(text, end=end, file=sys.stderr, flush=True)


def _photos(text: str) -> int:
    """Return a number of photos, above 0."""
    if not text.isdecimal() or int(text) == 0:
        message = f"expected a whole number above 0, got {text!r}"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _seconds(text: str) -> float:
    """Return a time above 0."""
    with contextlib.suppress(ValueError):
        if 0 < (value := float(text)) < float("inf"):
            return value
    raise argparse.ArgumentTypeError(f"expected seconds above 0, got {text!r}")
