"""What the API answers, as models: the description of the API is made from them.

A test compares them with what the routes answer: a key that is missing here, or is
here and not there, fails it.
"""

from typing import Final

from pydantic import BaseModel

from dashboard.web.programs.answers.accounts import (
    AuditPageAnswer,
    ChangedAnswer,
    LearningQueueAnswer,
    NewTokenAnswer,
    SessionAnswer,
    SettingsAnswer,
    UsersAnswer,
)
from dashboard.web.programs.answers.alerts import (
    AlertAnswer,
    AlertCountAnswer,
    AlertListAnswer,
    AlertPageAnswer,
    FetchStateAnswer,
    ReviewedAnswer,
    ReviewsAnswer,
    ShelfEndedAnswer,
    ShelvedAnswer,
    ShelvesAnswer,
)
from dashboard.web.programs.answers.collector import (
    AlarmAnswer,
    DoneAnswer,
    EmptyAnswer,
    HealthAnswer,
    StatusAnswer,
    SummaryAnswer,
)
from dashboard.web.programs.answers.lines import (
    AlarmsAnswer,
    CamerasAnswer,
    ForgottenAnswer,
    LinePcDetailsAnswer,
    LinePcsAnswer,
    LivePictureAnswer,
    MaintenanceEndedAnswer,
    MaintenanceStartedAnswer,
    NoteSavedAnswer,
    ParetoAnswer,
    RateAnswer,
    RecheckedAnswer,
)

LINE: Final = "/api/lines/{site}/{line}/{station}"
ANSWERS: Final[dict[tuple[str, str], type[BaseModel]]] = {
    ("GET", "/healthz"): HealthAnswer,
    ("GET", "/api/status"): StatusAnswer,
    ("GET", "/api/summary"): SummaryAnswer,
    ("GET", "/api/cameras"): CamerasAnswer,
    ("GET", "/api/alerts"): AlertPageAnswer,
    ("GET", "/api/alerts/{event_id}"): AlertAnswer,
    ("GET", "/api/alerts/{event_id}/reviews"): ReviewsAnswer,
    ("POST", "/api/alerts/{event_id}/full-picture"): FetchStateAnswer,
    ("GET", "/api/alerts/{event_id}/full-picture/state"): FetchStateAnswer,
    ("POST", "/api/alerts/{event_id}/heat-map"): FetchStateAnswer,
    ("GET", "/api/alerts/{event_id}/heat-map/state"): FetchStateAnswer,
    ("GET", "/api/alert-list"): AlertListAnswer,
    ("GET", "/api/alert-count"): AlertCountAnswer,
    ("POST", "/api/reviews"): ReviewedAnswer,
    ("GET", "/api/shelves"): ShelvesAnswer,
    ("POST", "/api/shelves"): ShelvedAnswer,
    ("POST", "/api/shelves/{k}/end"): ShelfEndedAnswer,
    ("GET", "/api/rate"): RateAnswer,
    ("GET", "/api/pareto"): ParetoAnswer,
    ("POST", "/api/analysis/notes"): NoteSavedAnswer,
    ("POST", "/api/analysis/rechecks"): RecheckedAnswer,
    ("GET", "/api/alarms"): AlarmsAnswer,
    ("POST", "/api/alarms/{alarm_id}/acknowledge"): AlarmAnswer,
    ("GET", "/api/lines"): LinePcsAnswer,
    ("GET", LINE): LinePcDetailsAnswer,
    ("POST", f"{LINE}/desired"): DoneAnswer,
    ("POST", f"{LINE}/desired/take-back"): DoneAnswer,
    ("POST", f"{LINE}/maintenance"): MaintenanceStartedAnswer,
    ("POST", f"{LINE}/maintenance/end"): MaintenanceEndedAnswer,
    ("POST", f"{LINE}/name"): DoneAnswer,
    ("POST", f"{LINE}/forget"): ForgottenAnswer,
    ("POST", f"{LINE}/pictures"): LivePictureAnswer,
    ("GET", "/api/learning"): LearningQueueAnswer,
    ("POST", "/api/learning/left-out"): ChangedAnswer,
    ("GET", "/api/session"): SessionAnswer,
    ("POST", "/api/login"): EmptyAnswer,
    ("POST", "/api/logout"): EmptyAnswer,
    ("GET", "/api/audit"): AuditPageAnswer,
    ("GET", "/api/settings"): SettingsAnswer,
    ("POST", "/api/settings"): SettingsAnswer,
    ("POST", "/api/account/password"): EmptyAnswer,
    ("POST", "/api/account/sessions/end"): EmptyAnswer,
    ("GET", "/api/users"): UsersAnswer,
    ("POST", "/api/users"): EmptyAnswer,
    ("POST", "/api/users/role"): EmptyAnswer,
    ("POST", "/api/users/password"): EmptyAnswer,
    ("POST", "/api/users/remove"): EmptyAnswer,
    ("POST", "/api/tokens"): NewTokenAnswer,
    ("POST", "/api/tokens/remove"): EmptyAnswer,
}
"""The answer of each route that answers JSON; the description itself is left out."""
CREATING: Final = frozenset(
    {
        ("POST", "/api/analysis/rechecks"),
        ("POST", "/api/users"),
        ("POST", "/api/tokens"),
    }
)
"""Routes that answer with 201."""
