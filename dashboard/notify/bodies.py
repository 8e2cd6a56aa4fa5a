"""The content of a message: title and lines, JSON for a webhook, a card for Teams.

The texts of a card are text runs, which Teams shows as they are: names and reasons come
from others, and could be links in a text with formats.

Source:
    Adaptive Cards 1.4, ``RichTextBlock``: https://adaptivecards.io/explorer/
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.history.notifications import Notification, NotificationKind
from dashboard.plant_settings import PlantSettings
from dashboard.plant_time import PlantTime
from dashboard.web.board import place_of
from dashboard.web.language import DEFAULT, Language, languages
from models.shown_text import on_one_line

LINE_MAX_CHARS = 300
TITLE_MAX_CHARS = 150
SCHEMA = "graftline-notification-1"
CARD = "application/vnd.microsoft.card.adaptive"


@dataclass(frozen=True, slots=True)
class NotificationMessage:
    """A message to a person.

    Attributes:
        key: The same for each attempt to send it.
        lines: One for each notification, with its time in the plant's zone.
        url: Where the page shows more; empty = not known.
    """

    key: str
    title: str
    lines: tuple[str, ...]
    url: str
    notifications: tuple[Notification, ...]

    def text(self) -> str:
        """Return the content of an e-mail."""
        return "\n".join([*self.lines, *(["", self.url] if self.url else [])]) + "\n"

    def as_json(self) -> dict[str, Any]:
        """Return the body for a webhook."""
        return {
            "schema": SCHEMA,
            "id": self.key,
            "title": self.title,
            "text": "\n".join(self.lines),
            "url": self.url,
            "notifications": [_as_json(each) for each in self.notifications],
        }

    def as_card(self) -> dict[str, Any]:
        """Return the body for Teams."""
        title = {"type": "TextRun", "text": self.title, "weight": "Bolder"}
        runs = [[title], *([{"type": "TextRun", "text": each}] for each in self.lines)]
        content: dict[str, Any] = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": [{"type": "RichTextBlock", "inlines": each} for each in runs],
        }
        if self.url:
            action = {"type": "Action.OpenUrl", "title": "Graftline", "url": self.url}
            content["actions"] = [action]
        attachment = {"contentType": CARD, "contentUrl": None, "content": content}
        return {"type": "message", "attachments": [attachment]}


def make_message(
    key: str,
    notifications: Sequence[Notification],
    settings: PlantSettings,
    title: str,
    public_url: str = "",
) -> NotificationMessage:
    """Return the message for some notifications, in the plant's language and zone.

    Args:
        title: Name of the page.
        public_url: Address of the page; empty = not known.
    """
    language = languages().get(settings.language) or languages()[DEFAULT]
    plant = PlantTime(settings.zone, settings.shifts)
    texts = [_text_of(each, settings, language) for each in notifications]
    stamps = [f"{plant.local(each.at_ms):%Y-%m-%d %H:%M:%S}" for each in notifications]
    lines = [
        f"{stamp} {text}"[:LINE_MAX_CHARS]
        for stamp, text in zip(stamps, texts, strict=True)
    ]
    first = texts[0]
    if texts[1:]:
        first = language.text("notify.more", text=first, n=len(texts) - 1)
    return NotificationMessage(
        key,
        f"{on_one_line(title)}: {first}"[:TITLE_MAX_CHARS],
        tuple(lines),
        public_url and public_url + _path_of(notifications),
        tuple(notifications),
    )


def _path_of(notifications: Sequence[Notification]) -> str:
    only = notifications[0]
    if len(notifications) > 1 or only.kind is NotificationKind.TEST:
        return "/wall"
    if only.kind is NotificationKind.ALERTS and only.values["count"] == 1:
        return f"/alerts/{only.values['event_id']}"
    if only.kind in {NotificationKind.LINE_DOWN, NotificationKind.LINE_BACK}:
        return f"/lines/{'/'.join(only.where[:3])}"
    return f"/wall?line={only.where[1]}"


def _text_of(
    notification: Notification, settings: PlantSettings, language: Language
) -> str:
    where, values = notification.where, notification.values
    if notification.kind is NotificationKind.TEST:
        return language.text("notify.test", name=values["name"])
    place = _place(where, settings)
    match notification.kind:
        case NotificationKind.ALARM_RAISED | NotificationKind.ALARM_CLEARED:
            text = language.text(
                f"notify.{values['limit_kind']}",
                place=place,
                value=_number(values["value"], language),
                limit=_number(values["limit"], language),
            )
            if notification.kind is NotificationKind.ALARM_CLEARED:
                text = language.text("notify.cleared", text=text)
            elif values.get("after_minutes"):
                minutes = values["after_minutes"]
                text = language.text("notify.escalated", text=text, minutes=minutes)
        case NotificationKind.ALERTS:
            labels = ", ".join(f"{label} {n}" for label, n in values["labels"].items())
            text = language.text(
                "notify.alerts", place=place, n=values["count"], labels=labels or "-"
            )
        case NotificationKind.LINE_DOWN:
            state = language.text(f"notify.state_{values['state']}")
            text = language.text("notify.line_down", place=place, state=state)
            text += f": {values['reason']}" if values["reason"] else ""
        case NotificationKind.LINE_BACK:
            text = language.text("notify.line_back", place=place)
    return on_one_line(text)


def _number(value: float, language: Language) -> str:
    """Return a share with three digits, or a whole count."""
    text = f"{value:.0f}" if value >= 100 else f"{value:.3g}"
    return text.replace(".", language.text("analysis.decimal_mark"))


def _place(where: tuple[str, str, str, str], settings: PlantSettings) -> str:
    if where[3]:
        return place_of(where, settings)
    names = (settings.name_of(*where[:depth]) for depth in (2, 3))
    return " \u00b7 ".join(names)


def _as_json(notification: Notification) -> dict[str, Any]:
    site, line, station, camera = notification.where
    return {
        "kind": notification.kind.value,
        "site": site,
        "line": line,
        "station": station,
        "camera": camera,
        "at_ms": notification.at_ms,
        **notification.values,
    }
