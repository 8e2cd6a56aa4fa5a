"""Reads the alerts of the dashboard over its HTTP API, as any other program would."""

import http.client
import json
import re
from pathlib import Path
from typing import Any

from demo.score import ScoredAlert
from models.errors import DeliveryError

PRINTED = re.compile(r"^dashboard: (\S+\?token=(\S+))$", re.MULTILINE)
HOST = "127.0.0.1"
TIMEOUT_S = 10.0
PAGE_ROWS = 500


def printed_address(log: Path) -> tuple[str, str]:
    """Return the address that the dashboard has printed, and the token in it.

    Raises:
        DeliveryError: It has printed none.
    """
    found = PRINTED.search(log.read_text("utf-8", errors="replace"))
    if found is None:
        raise DeliveryError(
            "The dashboard has printed no address with a token.",
            fix=f"See the log {log}.",
        )
    return found[1], found[2]


class HistoryClient:
    """Reads the history of a dashboard on this machine.

    Args:
        token: What the dashboard has printed at its start; empty = only whether it
            is ready can be read.
    """

    def __init__(self, port: int, token: str = "") -> None:
        self._port, self._token = port, token

    @property
    def is_ready(self) -> bool:
        """Whether the page answers and is connected to the broker."""
        try:
            return bool(self._get("/healthz")["status"] == "ok")
        except DeliveryError:
            return False

    def alert_count(self) -> int:
        """Return how many alerts the history holds."""
        return int(self._get("/api/summary")["alerts"])

    def alerts(self, camera: str) -> list[ScoredAlert]:
        """Return all alerts of a camera, oldest first.

        Raises:
            DeliveryError: The dashboard does not answer.
        """
        return [
            ScoredAlert(
                row["id"],
                row["frame_id"],
                tuple(tuple(each["box_px"]) for each in row["detections"]),
            )
            for row in self.rows()
            if row["camera"] == camera
        ]

    def rows(self) -> list[dict[str, Any]]:
        """Return all alerts as the dashboard's API returns them, oldest first.

        Raises:
            DeliveryError: The dashboard does not answer.
        """
        found: list[dict[str, Any]] = []
        while page := self._page_after(found[-1]["n"] if found else 0):
            found += page
        return found

    def _page_after(self, cursor: int) -> list[dict[str, Any]]:
        answer = self._get(f"/api/alerts?after={cursor}&limit={PAGE_ROWS}")
        page: list[dict[str, Any]] = answer["alerts"]
        return page

    def _get(self, path: str) -> dict[str, Any]:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=TIMEOUT_S)
        address = f"http://{HOST}:{self._port}{path}"
        try:
            headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != http.client.OK:
                raise DeliveryError(
                    f"{address}: answered {answer.status}.",
                    why=body.decode("utf-8", errors="replace")[:200],
                    fix="See the dashboard's log.",
                )
            document: dict[str, Any] = json.loads(body)
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise DeliveryError(
                f"{address}: no answer.", why=str(exc), fix="See the dashboard's log."
            ) from exc
        finally:
            connection.close()
        return document
