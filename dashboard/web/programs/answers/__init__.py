"""What the API answers, as models: the description of the API is made from them.

A test compares them with what the routes answer: a key that is missing here, or is
here and not there, fails it.
"""

from typing import Final

from pydantic import BaseModel

from dashboard.web.programs.answers.accounts import (
    AuditPage,
    Changed,
    LearningQueue,
    NewToken,
    Session,
    SettingsAnswer,
    Users,
)
from dashboard.web.programs.answers.alerts import (
    Alert,
    AlertCount,
    AlertList,
    AlertPage,
    FetchState,
    Reviewed,
    Reviews,
    ShelfEnded,
    Shelved,
    Shelves,
)
from dashboard.web.programs.answers.collector import (
    Alarm,
    Done,
    Empty,
    Health,
    Status,
    Summary,
)
from dashboard.web.programs.answers.lines import (
    Alarms,
    Cameras,
    Forgotten,
    LinePcDetails,
    LinePcs,
    LivePicture,
    MaintenanceEnded,
    MaintenanceStarted,
    NoteSaved,
    Pareto,
    Rate,
    Rechecked,
)

LINE: Final = "/api/lines/{site}/{line}/{station}"
ANSWERS: Final[dict[tuple[str, str], type[BaseModel]]] = {
    ("GET", "/healthz"): Health,
    ("GET", "/api/status"): Status,
    ("GET", "/api/summary"): Summary,
    ("GET", "/api/cameras"): Cameras,
    ("GET", "/api/alerts"): AlertPage,
    ("GET", "/api/alerts/{event_id}"): Alert,
    ("GET", "/api/alerts/{event_id}/reviews"): Reviews,
    ("POST", "/api/alerts/{event_id}/full-picture"): FetchState,
    ("GET", "/api/alerts/{event_id}/full-picture/state"): FetchState,
    ("GET", "/api/alert-list"): AlertList,
    ("GET", "/api/alert-count"): AlertCount,
    ("POST", "/api/reviews"): Reviewed,
    ("GET", "/api/shelves"): Shelves,
    ("POST", "/api/shelves"): Shelved,
    ("POST", "/api/shelves/{k}/end"): ShelfEnded,
    ("GET", "/api/rate"): Rate,
    ("GET", "/api/pareto"): Pareto,
    ("POST", "/api/analysis/notes"): NoteSaved,
    ("POST", "/api/analysis/rechecks"): Rechecked,
    ("GET", "/api/alarms"): Alarms,
    ("POST", "/api/alarms/{alarm_id}/acknowledge"): Alarm,
    ("GET", "/api/lines"): LinePcs,
    ("GET", LINE): LinePcDetails,
    ("POST", f"{LINE}/desired"): Done,
    ("POST", f"{LINE}/desired/take-back"): Done,
    ("POST", f"{LINE}/maintenance"): MaintenanceStarted,
    ("POST", f"{LINE}/maintenance/end"): MaintenanceEnded,
    ("POST", f"{LINE}/name"): Done,
    ("POST", f"{LINE}/forget"): Forgotten,
    ("POST", f"{LINE}/pictures"): LivePicture,
    ("GET", "/api/learning"): LearningQueue,
    ("POST", "/api/learning/left-out"): Changed,
    ("GET", "/api/session"): Session,
    ("POST", "/api/login"): Empty,
    ("POST", "/api/logout"): Empty,
    ("GET", "/api/audit"): AuditPage,
    ("GET", "/api/settings"): SettingsAnswer,
    ("POST", "/api/settings"): SettingsAnswer,
    ("POST", "/api/account/password"): Empty,
    ("POST", "/api/account/sessions/end"): Empty,
    ("GET", "/api/users"): Users,
    ("POST", "/api/users"): Empty,
    ("POST", "/api/users/role"): Empty,
    ("POST", "/api/users/password"): Empty,
    ("POST", "/api/users/remove"): Empty,
    ("POST", "/api/tokens"): NewToken,
    ("POST", "/api/tokens/remove"): Empty,
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
