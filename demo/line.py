"""The whole line on one machine, with the very commands that a person would type.

::

    synth ─▶ check ─▶ train ─▶ pack ─▶ flash ─▶ run ──MQTT──▶ dashboard
                                                 ▲               │ HTTP
                                           line.mp4              ▼
                                                   truth.json ─▶ score ─▶ summary.json

Alerts are read from the dashboard's history, the last place on their way: what is
counted has passed every station of the line.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from demo.broker import free_port, start_broker
from demo.children import ChildCommand, Children, CtrlC
from demo.config_files import CAMERA, write_dashboard_config, write_edge_config
from demo.folder import demo_folder
from demo.history import HOST, HistoryClient
from demo.score import read_truth, score
from demo.settings import DemoLimits, DemoSettings
from models.errors import DeliveryError, GraftlineError, TrainingError

SUMMARY_NAME = "summary.json"
MODEL_NAME = "demo"

Summary = dict[str, Any]


class DemoLine:
    """One run of the demo.

    Args:
        settings: What to make.
        limits: What counts as working.
        tell: Shows a line to the person.
    """

    def __init__(
        self, settings: DemoSettings, limits: DemoLimits, tell: Callable[[str], None]
    ) -> None:
        self._settings, self._limits, self._tell = settings, limits, tell
        self._steps: dict[str, float] = {}
        self._begun = time.monotonic()

    def run(self, show: Callable[[Summary], None], *, keeps_page: bool) -> None:
        """Run the line, show what came out, and stop everything.

        Args:
            show: Called with the summary, which is then in ``summary.json`` too.
            keeps_page: Leave the page up until Ctrl-C.

        Raises:
            GraftlineError: A step failed, or the line did not work.
            KeyboardInterrupt: It was told to stop before its end.
        """
        stop = CtrlC()
        with ExitStack() as stack:
            stack.enter_context(stop.listening())
            out = stack.enter_context(demo_folder(self._settings.out))
            children = Children(out / "logs", stop, self._tell)
            stack.enter_context(children)
            self._make_model(children)
            broker_port = start_broker(out, children, self._tell, self._limits.ready_s)
            history = self._open_page(children, broker_port)
            ran = self._inspect(children, broker_port)
            summary = self._sum_up(children, history, ran)
            show(summary)
            self._tell(f"the same figures are in {out / SUMMARY_NAME}")
            faults = find_faults(summary, self._limits)
            if keeps_page:
                self._keep_page(children, stop, faults)
            if faults:
                raise faults[0]

    def _make_model(self, children: Children) -> None:
        """Make parts, and from their photos a model on the line PC."""
        settings = self._settings
        data, run, package = (
            str(settings.out / name) for name in ("data", "run", "package")
        )
        weights = ("--weights", settings.weights) if settings.weights else ()
        self._step(children, "synth", *synth_words(settings, data))
        self._step(children, "check", data)
        self._step(
            children,
            "train",
            *(data, "--out", run, *weights),
            *("--size", str(settings.size_px), "--epochs", str(settings.epochs)),
            *("--seed", str(settings.seed)),
        )
        self._step(children, "pack", run, "--out", package, "--name", MODEL_NAME)
        self._step(children, "flash", package, f"local:{settings.out / 'line-pc'}")

    def _open_page(self, children: Children, broker_port: int) -> HistoryClient:
        """Start the dashboard and wait until it is connected."""
        wanted = self._settings.page_port
        port = free_port(wanted)
        if port != wanted:
            self._tell(f"port {wanted} is in use; the page is on {port} instead")
        config = write_dashboard_config(self._settings, broker_port, port)
        command = ChildCommand(
            "dashboard", ("graftline", "dashboard", "--config", str(config))
        )
        self._tell(f"\n$ {command} &")
        history = HistoryClient(port)
        with self._timed("dashboard"):
            children.start(command)
            children.wait_until(lambda: history.is_ready, "page", self._limits.ready_s)
        self._tell(f"the page is up: http://{HOST}:{port}/")
        return history

    def _inspect(self, children: Children, broker_port: int) -> Summary:
        """Run the daemon over the video and return its figures."""
        config = write_edge_config(self._settings, broker_port)
        output = self._settings.out / "run.json"
        words = ("--config", str(config), "--exit-at-end", "--json")
        self._step(children, "run", *words, output=output)
        figures: Summary = json.loads(output.read_text("utf-8"))
        return figures

    def _sum_up(
        self, children: Children, history: HistoryClient, ran: Summary
    ) -> Summary:
        """Join history and truth, and write the summary."""
        camera = ran["cameras"][CAMERA]
        published = camera["alerts"]
        with self._timed("history"):
            self._wait_for_history(children, history, published)
            alerts = history.alerts(CAMERA)
        truth = read_truth(self._settings.out / "data" / "truth.json")
        summary = {
            **score(truth, alerts).as_json(),
            "alerts_published": published,
            "alerts_in_history": len(alerts),
            "undelivered": ran["outbox"]["undelivered"],
            "fps": camera["fps"],
            "latency_ms_p50": camera["latency_ms_p50"],
            "latency_ms_p99": camera["latency_ms_p99"],
            "frames_inspected": camera["frames_inspected"],
            "frames_dropped": camera["frames_dropped"],
            "model": ran["model"],
            "weights": self._settings.weights or "shipped",
            "seed": self._settings.seed,
            "size_px": self._settings.size_px,
            "epochs": self._settings.epochs,
            "seconds": round(time.monotonic() - self._begun, 1),
            "steps": self._steps,
        }
        text = json.dumps(summary, indent=2)
        (self._settings.out / SUMMARY_NAME).write_text(text + "\n", "utf-8")
        return summary

    def _wait_for_history(
        self, children: Children, history: HistoryClient, expected: int
    ) -> None:
        """Give the last alerts time to arrive; what is missing is told later."""
        deadline = time.monotonic() + self._limits.history_s

        def is_complete() -> bool:
            late = time.monotonic() > deadline
            return late or history.alert_count() >= expected

        children.wait_until(is_complete, "history", 2 * self._limits.history_s)

    def _keep_page(
        self, children: Children, stop: CtrlC, faults: list[GraftlineError]
    ) -> None:
        """Leave the page up until Ctrl-C, which is then the normal end."""
        for fault in faults:
            self._tell(f"The line did not work: {fault}")
        self._tell("The page stays up. Ctrl-C ends the demo and stops everything.")
        try:
            while True:
                children.look_at_services()
                stop.pause(0.2)
        except KeyboardInterrupt:
            self._tell("stopping")

    def _step(
        self, children: Children, verb: str, *words: str, output: Path | None = None
    ) -> None:
        """Print a command and run it to its end."""
        command = ChildCommand(verb, ("graftline", verb, *words), output)
        self._tell(f"\n$ {command}")
        with self._timed(verb):
            children.run(command, self._limits.step_s)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        """Note how long a step took."""
        begun = time.monotonic()
        yield
        self._steps[name] = round(time.monotonic() - begun, 1)


def synth_words(settings: DemoSettings, data: str) -> tuple[str, ...]:
    """Return the arguments of ``synth``.

    Args:
        settings: Of the demo.
        data: Folder to write.
    """
    numbers = {
        "seed": settings.seed,
        "photos": settings.photos,
        "good": settings.good,
        "parts": settings.parts,
        "fps": settings.video_fps,
    }
    options = (word for name, n in numbers.items() for word in (f"--{name}", str(n)))
    return "--out", data, *options


def find_faults(summary: Summary, limits: DemoLimits) -> list[GraftlineError]:
    """Return everything for which the line did not work, the worst first.

    Args:
        summary: What came out.
        limits: What counts as working.
    """
    faults: list[GraftlineError] = []
    published, kept = summary["alerts_published"], summary["alerts_in_history"]
    duplicates = summary["duplicates"]
    if published != kept or summary["undelivered"]:
        faults.append(
            DeliveryError(
                f"{kept} of {published} alerts are in the history.",
                why=f"{summary['undelivered']} events wait in the outbox.",
                fix="See run.log and dashboard.log in the folder logs.",
            )
        )
    if duplicates:
        faults.append(
            DeliveryError(
                f"{duplicates} alerts tell of a defect that was told before.",
                why="One defect must be one alert.",
                fix="Raise track_max_missed or lower track_iou_threshold.",
            )
        )
    recall = summary["recall_of_defective_parts"]
    if recall < limits.least_recall:
        faults.append(
            TrainingError(
                f"{recall:.1%} of the defective parts were caught.",
                why=f"At least {limits.least_recall:.0%} is expected.",
                fix="Train longer, or from better weights.",
            )
        )
    share = summary["false_alarm_share"]
    if share > limits.most_false_alarms:
        faults.append(
            TrainingError(
                f"{share:.1%} of the good parts were alarmed.",
                why=f"At most {limits.most_false_alarms:.0%} is expected.",
                fix="Train with more good parts, or longer.",
            )
        )
    return faults
