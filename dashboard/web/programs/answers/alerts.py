"""Answers about alerts, reviews and shelves."""

from pydantic import BaseModel, Field

from models.messages import AlertData, AlertDetection, ModelInForce


class AlertAnswer(AlertData):
    """An alert as its station sent it, and what the history adds."""

    n: int = Field(description="Cursor; grows with each alert that arrives.")
    id: str
    happened_ms: int
    received_ms: int
    received_at: str
    has_image: bool
    awaits_image: bool


class AlertPageAnswer(BaseModel):
    """A page of alerts."""

    alerts: list[AlertAnswer]
    more: bool
    newest: int = Field(description="The largest cursor of all alerts.")


class BadgeAnswer(BaseModel):
    """What people and the delivery add to an alert, as text."""

    kind: str
    text: str
    title: str


class BoxAnswer(BaseModel):
    """A box as it is drawn, large enough to be seen; pixels of the frame."""

    x: float
    y: float
    width: float
    height: float


class ListedAlertAnswer(BaseModel):
    """An alert with what people did, and its texts in the reader's language."""

    n: int
    id: str
    site: str
    line: str
    station: str
    camera: str
    part_id: str | None
    frame_id: int
    model: ModelInForce
    frame_width_px: int
    frame_height_px: int
    replayed: bool
    suppressed: int
    frame_age_ms: float
    clock_synchronized: bool
    evidence: str | None
    heat_map: str | None
    happened_ms: int
    received_ms: int
    has_image: bool
    awaits_image: bool
    detections: list[AlertDetection]
    boxes: int
    acknowledged_ms: int | None
    acknowledged_by: str | None
    verdict: str | None
    verdict_label: str | None
    judged_ms: int | None
    judged_by: str | None
    verdicts: int
    comments: int
    shelf: int | None
    key: str
    href: str
    title: str
    score: str
    part: str
    place: str
    date: str
    time: str
    zone: str
    iso: str
    badges: list[BadgeAnswer]
    drawn: list[BoxAnswer]


class AlertListAnswer(BaseModel):
    """A page of the list of alerts."""

    alerts: list[ListedAlertAnswer]
    links: list[tuple[int, int]] = Field(description="Newer and older of one cause.")
    resume: str | None = Field(description="Where older ones go on; null = nowhere.")
    searched_to: str | None
    is_more: bool
    newest: int


class AlertCountAnswer(BaseModel):
    """How many alerts pass a filter."""

    count: int
    is_more: bool
    newest: int
    now_ms: int


class ShownReviewAnswer(BaseModel):
    """What somebody did with an alert."""

    kind: str
    did: str
    who: str
    when: str


class ReviewsAnswer(BaseModel):
    """What was done with an alert, the newest first."""

    reviews: list[ShownReviewAnswer]


class ReviewedAnswer(BaseModel):
    """The alerts that a review changed; of many, the first ones."""

    changed: int
    alerts: list[ListedAlertAnswer]


class ShownShelfAnswer(BaseModel):
    """A shelf."""

    k: int
    what: list[str]
    reason: str
    creator: str
    created: str
    until: str
    until_ms: int


class ShelvesAnswer(BaseModel):
    """The shelves in force."""

    shelves: list[ShownShelfAnswer]


class ShelvedAnswer(BaseModel):
    """The new shelf."""

    k: int
    until_ms: int


class ShelfEndedAnswer(BaseModel):
    """The number of the shelf that has ended."""

    ended: int


class FetchStateAnswer(BaseModel):
    """How far the fetch of a full picture is."""

    state: str
    got_bytes: int
    size_bytes: int
    reason: str
