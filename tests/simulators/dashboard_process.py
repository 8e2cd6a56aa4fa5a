"""``graftline dashboard`` as a person starts it, on a free port."""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, Self

from playwright.sync_api import BrowserContext

from tests.simulators.broker import free_port
from tests.waiting import until

REPOSITORY = Path(__file__).resolve().parents[2]
LIMIT_S = 60.0  # the machine may be busy


class DashboardProcess:
    """One dashboard; its history outlives it.

    Args:
        folder: Where configuration and history are.
        broker_port: Of the broker on the loopback interface.
        stale_after_s: When a camera counts as stale.
        history: Lines of ``[history]``; without any it is a file in the folder.

    Attributes:
        url: Without a path.
        login_url: What it has printed at its start.
    """

    def __init__(
        self,
        folder: Path,
        broker_port: int,
        stale_after_s: float = 15.0,
        history: str = "",
    ) -> None:
        self.port = free_port()
        self.url = self.login_url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.config = folder / "dashboard.toml"
        self._further = (
            f"[server]\nport = {self.port}\n[history]\n{history}\n"
            f'[page]\ntitle = "Test line"\nstale_after_s = {stale_after_s}\n'
        )
        self.use_broker(broker_port)
        self._process: subprocess.Popen[bytes] | None = None

    def use_broker(self, port: int) -> None:
        """Write the configuration, for the next start."""
        text = f"[broker]\nport = {port}\n{self._further}"
        self.config.write_text(text, encoding="utf-8")

    @property
    def log(self) -> str:
        """What it has logged."""
        return (self.folder / "dashboard.log").read_text(encoding="utf-8")

    def start(self) -> Self:
        """Start it and wait until the page answers."""
        with (self.folder / "dashboard.log").open("ab") as log:
            starts = len(self._printed())
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "graftline"),
                    *("dashboard", "--config", self.config),
                ],
                cwd=REPOSITORY,
                stdout=log,
                stderr=log,
            )
        # Its own address first: another server may answer at a port that is taken.
        until(
            lambda: self._is_running() and len(self._printed()) > starts,
            lambda: f"the page has an address: {self.log}",
            LIMIT_S,
        )
        self.login_url = self._printed()[-1]
        until(self._answers, "the page answers", LIMIT_S)
        return self

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._process is not None
        return self._process.pid

    def _is_running(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        return True

    def _printed(self) -> list[str]:
        """Return the address of each start."""
        return re.findall(r"^dashboard: (\S+)$", self.log, re.MULTILINE)

    @property
    def token(self) -> str:
        """What opens the page while there are no users."""
        return self.login_url.partition("?token=")[2]

    def log_in(self, context: BrowserContext) -> None:
        """Let a browser in, as a person does who opens the printed address."""
        assert context.request.get(self.login_url).ok

    def _answers(self) -> bool:
        try:
            self.get("/healthz")
        except OSError:
            return False
        return self._is_running()

    def get(self, path: str) -> Any:
        """Return the JSON at a path."""
        with self.open(path) as answer:
            return json.load(answer)

    def open(self, path: str) -> HTTPResponse:
        """Return the answer to a program that has the token."""
        request = urllib.request.Request(self.url + path)  # noqa: S310 - loopback
        request.add_header("authorization", f"Bearer {self.token}")
        answer = urllib.request.urlopen(request, timeout=LIMIT_S)  # noqa: S310
        assert isinstance(answer, HTTPResponse)
        return answer

    def is_connected(self) -> bool:
        """Whether its broker is connected."""
        return bool(self.get("/api/summary")["broker"]["is_up"])

    def stations(self) -> list[dict[str, Any]]:
        """The line PCs of its history, with their cameras."""
        found: list[dict[str, Any]] = self.get("/api/cameras")["stations"]
        return found

    def wait_connected(self) -> Self:
        """Wait until it receives what is published."""
        until(self.is_connected, "the dashboard is connected", LIMIT_S)
        return self

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it and return its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(LIMIT_S)
        self._process = None
        return code

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(LIMIT_S)
