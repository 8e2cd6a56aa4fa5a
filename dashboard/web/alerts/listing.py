"""How alerts are shown: texts in the reader's language, times in the plant's zone."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from dashboard.history.alert_groups import AnyAlert
from dashboard.history.alert_search import ListKey
from dashboard.history.queries import Json
from dashboard.history.reviews import OperatorVerdict, ReviewKind
from dashboard.plant_settings import PlantSettings
from dashboard.plant_time import PlantTime
from dashboard.web.alerts.urls import key_text
from dashboard.web.language import Language

LATE_MS = 10_000
TIMES = "\N{MULTIPLICATION SIGN}"
LEAST_SIDE = 0.09  # of a drawn box: six pixels must stay visible in a small picture
DRAWN_BOXES = 12
VERDICT_KINDS = {
    OperatorVerdict.REAL: "bad",
    OperatorVerdict.FALSE_ALARM: "ok",
    OperatorVerdict.OTHER_CLASS: "warn",
}


class Listing:
    """Shows alerts.

    Args:
        settings: Zone, shifts and names of the plant.
    """

    def __init__(self, language: Language, settings: PlantSettings) -> None:
        self._language, self._settings = language, settings
        self.plant = PlantTime(settings.zone, settings.shifts)

    def row(self, alert: AnyAlert, query: str = "") -> Json:
        """Return an alert with all texts of a row.

        Args:
            alert: From ``AlertSearch``.
            query: The link to the alert keeps it, for the way back to the list.
        """
        link = f"/alerts/{quote(alert['id'], safe='')}"
        score = max(each["score"] for each in alert["detections"])
        return {
            **alert,
            "key": key_text(ListKey(alert["happened_ms"], alert["n"])),
            "href": f"{link}?{query}" if query else link,
            "title": title_of(alert),
            "score": f"{round(score * 100)} %",
            "part": self.part(alert),
            "place": " / ".join(self.names(alert)),
            **self.moment(alert["happened_ms"]),
            "badges": self.badges(alert),
            "drawn": drawn_boxes(alert),
        }

    def names(self, alert: AnyAlert) -> list[str]:
        """Return the names of line, station and camera, as the plant calls them."""
        place = [alert[name] for name in ("site", "line", "station", "camera")]
        return [self._settings.name_of(*place[:end]) for end in (2, 3, 4)]

    def part(self, alert: AnyAlert) -> str:
        """Return the part number, or the number of the frame."""
        if alert["part_id"] is not None:
            return str(alert["part_id"])
        return self._language.text("alerts.frame", frame=alert["frame_id"])

    def moment(self, ms: int) -> Json:
        """Return date, time and zone by the clocks of the plant, and ISO 8601."""
        local = self.plant.local(ms)
        return {
            "date": local.strftime(self._language.text("alerts.date_format")),
            "time": local.strftime("%H:%M:%S"),
            "zone": local.strftime("%Z"),
            "iso": local.isoformat(timespec="milliseconds"),
        }

    def when(self, ms: int) -> str:
        """Return a moment as one text."""
        moment = self.moment(ms)
        return f"{moment['date']} {moment['time']} {moment['zone']}"

    def badges(self, alert: AnyAlert) -> list[Json]:
        """Return what people and the delivery add to an alert, as kind and text."""
        text = self._language.text
        found: list[Json] = []
        if alert["verdict"]:
            verdict = OperatorVerdict(alert["verdict"])
            found.append(
                {
                    "kind": VERDICT_KINDS[verdict],
                    "text": self.verdict(verdict, alert["verdict_label"]),
                    "title": f"{alert['judged_by']}, {self.when(alert['judged_ms'])}",
                }
            )
        if alert["acknowledged_ms"] is not None:
            who, when = alert["acknowledged_by"], self.when(alert["acknowledged_ms"])
            found.append(
                {
                    "kind": "gone",
                    "text": text("alerts.acknowledged_by", who=who),
                    "title": when,
                }
            )
        if alert["comments"]:
            comments = text("alerts.comments", n=alert["comments"])
            found.append({"kind": "info", "text": comments, "title": ""})
        if alert["shelf"] is not None:
            found.append({"kind": "", "text": text("alerts.on_shelf"), "title": ""})
        late_ms = alert["received_ms"] - alert["happened_ms"]
        if late_ms > LATE_MS:
            late = text("alerts.late", time=roughly(late_ms))
            title = text("alerts.arrived", time=self.when(alert["received_ms"]))
            if not alert["clock_synchronized"]:
                title += f". {text('alerts.clock')} {text('alerts.corrected')}"
            found.append({"kind": "warn", "text": late, "title": title})
        return found

    def verdict(self, verdict: str, label: str | None) -> str:
        """Return a verdict as text."""
        if verdict == OperatorVerdict.OTHER_CLASS:
            return self._language.text("alerts.verdict_class", label=label or "")
        return self._language.text(f"alerts.verdict_{verdict.replace('-', '_')}")

    def reviews(self, reviews: Iterable[Mapping[str, Any]]) -> list[Json]:
        """Return the reviews of an alert as texts, the newest first."""
        text = self._language.text
        found: list[Json] = []
        for review in reviews:
            match ReviewKind(review["kind"]):
                case ReviewKind.COMMENT:
                    did = str(review["text"])
                case ReviewKind.VERDICT:
                    did = self.verdict(review["verdict"], review["label"])
                case kind:
                    did = text(f"alerts.did_{kind}")
            who, when = review["reviewer"], self.when(review["at_ms"])
            found.append({"kind": review["kind"], "did": did, "who": who, "when": when})
        return found[::-1]


def title_of(alert: AnyAlert) -> str:
    """Return the classes of an alert, the surest first, and how many boxes there are.

    >>> boxes = [{"label": "dent", "score": 0.5}, {"label": "scratch", "score": 0.9}]
    >>> title_of({"detections": boxes, "boxes": 2})
    'scratch +1'
    """
    found = sorted(alert["detections"], key=lambda each: -each["score"])
    first, count = str(found[0]["label"]), alert["boxes"]
    if count == 1:
        return first
    is_one_class = all(each["label"] == first for each in found)
    return f"{first} {TIMES}{count}" if is_one_class else f"{first} +{count - 1}"


def drawn_boxes(alert: AnyAlert) -> list[Json]:
    """Return the boxes to draw over a small picture, in pixels of the frame."""
    width, height = alert["frame_width_px"], alert["frame_height_px"]
    least = LEAST_SIDE * width
    drawn = []
    for detection in alert["detections"][:DRAWN_BOXES]:
        x1, y1, x2, y2 = detection["box_norm"]
        w, h = max((x2 - x1) * width, least), max((y2 - y1) * height, least)
        x, y = (x1 + x2) / 2 * width - w / 2, (y1 + y2) / 2 * height - h / 2
        numbers = {"x": x, "y": y, "width": w, "height": h}
        drawn.append({name: round(value, 1) for name, value in numbers.items()})
    return drawn


def roughly(ms: int) -> str:
    """Return how long something lasts, short.

    >>> roughly(8_000), roughly(150_000), roughly(3 * 3_600_000)
    ('8 s', '2 min', '3 h')
    """
    seconds = ms // 1000
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length * (2 if unit == "d" else 1):
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def csv_row(alert: AnyAlert, listing: Listing) -> list[object]:
    """Return an alert as a row of ``CSV_COLUMNS``."""
    model, boxes = alert["model"] or {}, alert["detections"]
    labels = dict.fromkeys(str(each["label"]) for each in boxes)
    happened = listing.moment(alert["happened_ms"])["iso"]
    received = listing.moment(alert["received_ms"])["iso"]
    moments = [
        listing.moment(ms)["iso"] if ms is not None else None
        for ms in (alert["judged_ms"], alert["acknowledged_ms"])
    ]
    return [
        *(alert["id"], happened, received),
        *(alert["site"], alert["line"], alert["station"], alert["camera"]),
        *(alert["part_id"], alert["frame_id"], "; ".join(labels), alert["boxes"]),
        *(boxes[0]["score"], model.get("name"), model.get("build")),
        *(alert["verdict"], alert["verdict_label"], alert["judged_by"], moments[0]),
        *(alert["acknowledged_by"], moments[1], alert["comments"]),
        "yes" if alert["shelf"] is not None else "no",
    ]


CSV_COLUMNS = (
    *("id", "happened_at", "received_at", "site", "line", "station", "camera"),
    *("part", "frame", "classes", "boxes", "score", "model", "build"),
    *("verdict", "verdict_class", "judged_by", "judged_at"),
    *("acknowledged_by", "acknowledged_at", "comments", "shelved"),
)
