"""What the demo reads from the dashboard's API, page by page."""

from typing import Any

import pytest

from demo.history import HistoryClient
from demo.score import ScoredAlert
from models.errors import DeliveryError


class SimHistory(HistoryClient):
    """A client of a dashboard in memory, which answers at most two rows at a time."""

    def __init__(self, *rows: dict[str, Any], status: str = "ok") -> None:
        super().__init__(port=1)
        self._rows, self._status, self.paths = rows, status, list[str]()

    def _get(self, path: str) -> dict[str, Any]:
        self.paths.append(path)
        if self._status == "away":
            raise DeliveryError("no answer.", fix="See the dashboard's log.")
        after = int(path.partition("after=")[2].partition("&")[0] or 0)
        page = [row for row in self._rows if row["n"] > after][:2]
        return {"status": self._status, "alerts": page}


def row(number: int, camera: str = "belt") -> dict[str, Any]:
    detections = [{"box_px": [1, 2, 3, 4]}] * (number % 2)
    return {
        "n": number,
        "id": f"event-{number}",
        "camera": camera,
        "frame_id": 10 * number,
        "detections": detections,
    }


def test_rows_are_read_until_a_page_is_empty() -> None:
    client = SimHistory(*map(row, range(1, 6)))
    assert [each["n"] for each in client.rows()] == [1, 2, 3, 4, 5]
    assert [path.split("after=")[1].split("&")[0] for path in client.paths] == [
        *("0", "2", "4", "5")
    ]


def test_empty_history_has_no_rows() -> None:
    assert SimHistory().rows() == []


def test_alerts_are_those_of_one_camera_with_their_boxes() -> None:
    client = SimHistory(row(1), row(2, "other"), row(4))
    assert client.alerts("belt") == [
        ScoredAlert("event-1", 10, ((1, 2, 3, 4),)),
        ScoredAlert("event-4", 40, ()),
    ]


@pytest.mark.parametrize(
    ("status", "is_ready"), [("ok", True), ("degraded", False), ("away", False)]
)
def test_dashboard_is_ready_when_it_answers_ok(
    status: str,
    is_ready: bool,
) -> None:
    assert SimHistory(status=status).is_ready == is_ready


def test_dashboard_that_does_not_answer_is_a_delivery_error() -> None:
    with pytest.raises(DeliveryError):
        SimHistory(status="away").rows()
