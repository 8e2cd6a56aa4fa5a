from datetime import UTC, datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dashboard.config import DashboardSettings
from dashboard.status import NotifyStatus, now_ms
from dashboard.web.programs import figures
from models.messages import CameraState, CameraStatus, DaemonState
from tests.simulators.alerts import station_status
from tests.unit.dashboard.asgi import get
from tests.unit.dashboard.browser import SimBrowser
from tests.unit.dashboard.history_file import PRESS, HistoryFile, read
from tests.unit.dashboard.sim_site import UP, SimSite

Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def values_of(site: SimSite) -> Values:
    answer = get(site.app, "/metrics")
    assert answer.status == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def value(values: Values, name: str, **labels: str) -> float:
    return values[f"dashboard_{name}", tuple(sorted(labels.items()))]


def test_alerts_cameras_and_size_are_counted(site: SimSite) -> None:
    for seq in (1, 2, 3):
        site.add(seq)
    found = values_of(site)
    where = {"site": "plant", "line": "line-1", "station": "press-1"}
    assert value(found, "alerts_total") == 3
    assert value(found, "alerts_last_hour", **where, camera="top") == 3
    assert value(found, "cameras", state="unknown") == 1
    assert value(found, "history_bytes") > 0
    assert value(found, "broker_up") == 1
    assert value(found, "viewers") == 0
    assert value(found, "delivery_delay_seconds", quantile="0.5") >= 0


@pytest.mark.parametrize(
    ("state", "shown"), [("ready", "up"), ("lost", "lost"), ("disconnected", "unknown")]
)
def test_cameras_of_a_line_pc_that_is_gone_are_not_up(
    site: SimSite, state: str, shown: str
) -> None:
    heard_ms = now_ms() - 90_000
    camera = CameraStatus(state=CameraState.UP, since=datetime.now(UTC))
    station = station_status(DaemonState(state))
    for topic, status in (
        (PRESS.camera("top", "status"), camera),
        (PRESS.status, station),
    ):
        site.file.record(read(topic, status.model_dump_json(), heard_ms))
    found = values_of(site)
    assert value(found, "cameras", state=shown) == 1
    assert value(found, "stations", state=state) == 1
    silent_s = value(found, "station_silent_seconds_max")
    assert (silent_s >= 90) == (state != "disconnected")


def test_failing_receiver_is_a_figure(site: SimSite) -> None:
    broken = NotifyStatus("shift", error="refused", waiting=4, sent=2)
    site.status = UP.__class__(
        **{name: getattr(UP, name) for name in UP.__slots__} | {"notify": (broken,)}
    )
    found = values_of(site)
    assert value(found, "notify_failing", receiver="shift") == 1
    assert value(found, "notify_waiting", receiver="shift") == 4
    sent = value(found, "notifications_total", receiver="shift", outcome="sent")
    assert sent == 2


def test_number_of_labels_is_bounded(
    site: SimSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "CAMERAS_MAX", 0)
    site.add(1)
    names = {name for name, _ in values_of(site)}
    assert "dashboard_alerts_last_hour" not in names
    site.status = UP.__class__(
        **{name: getattr(UP, name) for name in UP.__slots__}
        | {"rejected": {"made-up": 5}}
    )
    labels = {labels for name, labels in values_of(site) if "rejected" in name}
    assert (("reason", "made-up"),) not in labels


@pytest.mark.parametrize(("is_public", "status"), [(True, 200), (False, 401)])
def test_figures_are_public_only_where_the_settings_say_so(
    file: HistoryFile, is_public: bool, status: int
) -> None:
    server = {"public_metrics": is_public}
    site = SimSite(file, settings=DashboardSettings.model_validate({"server": server}))
    stranger = SimBrowser(site.bare_app)
    assert stranger.read("/metrics").status == status
    assert stranger.read("/api/status").status == 401
    site.database.close()
