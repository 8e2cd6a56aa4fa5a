"""The whole line on one machine, with the same commands that a person would type.

::

    synth ─▶ check ─▶ train ─▶ pack ─▶ flash ─▶ run ──MQTT──▶ dashboard
                                                 ▲               │ HTTP
                                           line.mp4              ▼
                                                   truth.json ─▶ score ─▶ summary.json

Alerts are read from the dashboard's history, where they are stored last: a counted
alert has passed through every part of the product.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from demo.broker import free_port, start_broker
from demo.children import ChildCommand, Children, StopRequest
from demo.config_files import CAMERA, write_dashboard_config, write_edge_config
from demo.folder import demo_folder
from demo.history import HistoryClient, printed_address
from demo.score import read_truth, score
from demo.settings import DemoLimits, DemoSettings
from models.counted import agreeing, counted
from models.errors import DeliveryError, GraftlineError, TrainingError

SUMMARY_NAME = "summary.json"
MODEL_NAME = "demo"
DAY_ONE_NAME = "day-one"  # the photos of good parts
# Of the photos, which show parts at the border too; on the line it is not inspected.
DAY_ONE_OVERKILL = "5%"

Summary = dict[str, Any]


class DemoLine:
    """One run of the demo.

    Args:
        limits: What the line must reach.
    """

    def __init__(
        self, settings: DemoSettings, limits: DemoLimits, show: Callable[[str], None]
    ) -> None:
        self._settings, self._limits, self._show = settings, limits, show
        self._step_s: dict[str, float] = {}  # duration of each step
        self._started = time.monotonic()

    def run(self, report: Callable[[Summary], None], *, keeps_page: bool) -> None:
        """Run the line, report its figures, and stop everything.

        Args:
            report: Called with the summary, which is then in ``summary.json`` too.
            keeps_page: Leave the page up until Ctrl-C.

        Raises:
            GraftlineError: A step failed, or the figures are outside the limits.
            KeyboardInterrupt: A signal stopped it before its end.
        """
        stop = StopRequest()
        with ExitStack() as stack:
            stack.enter_context(stop.handling_signals())
            out = stack.enter_context(demo_folder(self._settings.out))
            children = Children(out / "logs", stop, self._show)
            stack.enter_context(children)
            self._make_model(children)
            broker_port = start_broker(out, children, self._show, self._limits.ready_s)
            history = self._open_page(children, broker_port)
            figures = self._run_daemon(children, broker_port)
            summary = self._summarize(children, history, figures)
            report(summary)
            self._show(f"the same figures are in {out / SUMMARY_NAME}")
            faults = find_faults(summary, self._limits)
            if keeps_page:
                self._keep_page(children, stop, faults)
            if faults:
                raise faults[0]

    def _make_model(self, children: Children) -> None:
        """Draw parts, train on their photos, and flash the model to the line PC."""
        settings = self._settings
        data, run, package = (
            str(settings.out / name) for name in ("data", "run", "package")
        )
        self._step(children, "synth", *synth_arguments(settings, data))
        if settings.is_day_one:
            data = self._take_good_parts()
        self._step(children, "check", data)
        self._step(children, "train", *train_arguments(settings, data, run))
        # At twice the pixels a side INT8 would take longer than all other steps.
        variants = ("--no-int8",) if settings.is_day_one else ()
        arguments = (run, "--out", package, "--name", MODEL_NAME, *variants)
        self._step(children, "pack", *arguments)
        self._step(children, "flash", package, f"local:{settings.out / 'line-pc'}")

    def _take_good_parts(self) -> str:
        """Return a folder with the photos of good parts alone, without a label."""
        out = self._settings.out
        photos = out / DAY_ONE_NAME
        (photos / "good").mkdir(parents=True)
        for photo in (out / "data" / "good").iterdir():
            shutil.copy(photo, photos / "good")
        self._show(f"\n{photos}: the photos of good parts alone, without a label")
        return str(photos)

    def _open_page(self, children: Children, broker_port: int) -> HistoryClient:
        """Start the dashboard and wait until it is connected."""
        preferred = self._settings.page_port
        port = free_port(preferred)
        if port != preferred:
            self._show(f"port {preferred} is in use; the page is on {port} instead")
        config = write_dashboard_config(self._settings, broker_port, port)
        command = ChildCommand(
            "dashboard", ("graftline", "dashboard", "--config", str(config))
        )
        self._show(f"\n$ {command} &")
        page = HistoryClient(port)
        with self._timed("dashboard"):
            children.start(command)
            children.wait_until(lambda: page.is_ready, "page", self._limits.ready_s)
        address, token = printed_address(children.log_of("dashboard"))
        self._show(f"the page is up: {address}")
        return HistoryClient(port, token)

    def _run_daemon(self, children: Children, broker_port: int) -> Summary:
        """Run the daemon over the video and return its figures."""
        config = write_edge_config(self._settings, broker_port)
        output = self._settings.out / "run.json"
        arguments = ("--config", str(config), "--exit-at-end", "--json")
        self._step(children, "run", *arguments, output=output)
        figures: Summary = json.loads(output.read_text("utf-8"))
        return figures

    def _summarize(
        self, children: Children, history: HistoryClient, figures: Summary
    ) -> Summary:
        """Compare the history with the truth, and write the summary."""
        camera = figures["cameras"][CAMERA]
        published = camera["alerts"]
        with self._timed("history"):
            self._wait_for_history(children, history, published)
            alerts = history.alerts(CAMERA)
        truth = read_truth(self._settings.out / "data" / "truth.json")
        run = json.loads((self._settings.out / "run" / "run.json").read_text("utf-8"))
        summary = {
            **score(truth, alerts).as_json(),
            "alerts_published": published,
            "alerts_in_history": len(alerts),
            "undelivered": figures["outbox"]["undelivered"],
            "least_recall": self._limits.least_recall,
            "most_false_alarms": self._limits.most_false_alarms,
            "fps": camera["fps"],
            "latency_ms_p50": camera["latency_ms_p50"],
            "latency_ms_p99": camera["latency_ms_p99"],
            "frames_inspected": camera["frames_inspected"],
            "frames_dropped": camera["frames_dropped"],
            "model": figures["model"],
            "weights": run["pretrained"],
            "seed": self._settings.seed,
            "size_px": self._settings.size_px,
            "epochs": self._settings.epochs,
            "seconds": round(time.monotonic() - self._started, 1),
            "steps": self._step_s,
        }
        text = json.dumps(summary, indent=2)
        (self._settings.out / SUMMARY_NAME).write_text(text + "\n", "utf-8")
        return summary

    def _wait_for_history(
        self, children: Children, history: HistoryClient, expected: int
    ) -> None:
        """Give the last alerts time to arrive; ``find_faults`` reports missing ones."""
        deadline = time.monotonic() + self._limits.history_s

        def is_complete() -> bool:
            is_late = time.monotonic() > deadline
            return is_late or history.alert_count() >= expected

        children.wait_until(is_complete, "history", 2 * self._limits.history_s)

    def _keep_page(
        self, children: Children, stop: StopRequest, faults: list[GraftlineError]
    ) -> None:
        """Leave the page up until Ctrl-C, which is then the normal end."""
        for fault in faults:
            self._show(f"Outside the limits: {fault}")
        self._show("The page stays up. Ctrl-C stops the demo.")
        try:
            while True:
                children.check_services()
                stop.sleep(0.2)
        except KeyboardInterrupt:
            self._show("stopping")

    def _step(
        self, children: Children, verb: str, *arguments: str, output: Path | None = None
    ) -> None:
        """Print a command and run it to its end."""
        command = ChildCommand(verb, ("graftline", verb, *arguments), output)
        self._show(f"\n$ {command}")
        with self._timed(verb):
            children.run(command, self._limits.step_s)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        """Record the duration of a step."""
        started = time.monotonic()
        yield
        self._step_s[name] = round(time.monotonic() - started, 1)


def synth_arguments(settings: DemoSettings, data: str) -> tuple[str, ...]:
    """Return the arguments of ``synth``."""
    numbers = {
        "seed": settings.seed,
        "photos": settings.photos,
        "good": settings.good,
        "parts": settings.parts,
        "fps": settings.video_fps,
    }
    pairs = ((f"--{name}", str(number)) for name, number in numbers.items())
    return "--out", data, *chain.from_iterable(pairs)


def train_arguments(settings: DemoSettings, data: str, run: str) -> tuple[str, ...]:
    """Return the arguments of ``train``."""
    weights = ("--weights", settings.weights) if settings.weights else ()
    numbers = ["--size", str(settings.size_px), "--seed", str(settings.seed)]
    if settings.is_day_one:  # nothing is trained
        numbers += ["--max-overkill", DAY_ONE_OVERKILL]
    else:
        numbers += ["--epochs", str(settings.epochs)]
    return data, "--out", run, *weights, *numbers


def find_faults(summary: Summary, limits: DemoLimits) -> list[GraftlineError]:
    """Return every figure outside the limits, the most serious first."""
    faults: list[GraftlineError] = []
    published, kept = summary["alerts_published"], summary["alerts_in_history"]
    duplicates = summary["duplicates"]
    waiting = summary["undelivered"]
    if published != kept or waiting:
        faults.append(
            DeliveryError(
                f"{kept} of {published} alerts are in the history.",
                why=f"{counted(waiting, 'event')} {agreeing(waiting, 'waits', 'wait')} "
                "in the outbox.",
                fix="See run.log and dashboard.log in the folder logs.",
            )
        )
    if duplicates > limits.most_duplicates:
        faults.append(
            DeliveryError(
                f"{counted(duplicates, 'alert')} "
                f"{agreeing(duplicates, 'is a duplicate', 'are duplicates')}.",
                why="One defect must raise one alert.",
                fix="Raise track_max_missed or lower track_iou_threshold.",
            )
        )
    recall = summary["recall_of_defective_parts"]
    if recall < limits.least_recall:
        faults.append(
            TrainingError(
                f"{recall:.1%} of the defective parts were caught.",
                why=f"At least {limits.least_recall:.0%} is expected.",
                fix="Train with more photos, longer, or from better weights.",
            )
        )
    share = summary["false_alarm_share"]
    if share > limits.most_false_alarms:
        faults.append(
            TrainingError(
                f"{share:.1%} of the good parts raised an alert.",
                why=f"At most {limits.most_false_alarms:.0%} is expected.",
                fix="Train with more good parts, or longer.",
            )
        )
    return faults
