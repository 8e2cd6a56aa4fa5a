import json
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from dashboard.access.roles import Role
from dashboard.history.full_picture_cache import keep_full_picture
from dashboard.history.learning import JUDGED, LearningFilter
from dashboard.history.reviews import OperatorVerdict
from dashboard.history.tables.audit import entries
from dashboard.history.tables.received import images
from dashboard.status import now_ms
from dashboard.web.learning import export as learning_export
from models.photo_provenance import PhotoVerdict, Provenance
from tests.simulators.station import detection, picture
from tests.unit.dashboard.asgi import get, post_json
from tests.unit.dashboard.sim_site import SimSite
from tests.unit.dashboard.web.learning.queue_site import EVERY_KIND, Queue
from trainer.data.dataset import open_dataset

HOSTILE = '<img src=x onerror="window.hacked=1">\0=cmd|\'../../'
FALSE, REAL = OperatorVerdict.FALSE_ALARM, OperatorVerdict.REAL
OTHER = OperatorVerdict.OTHER_CLASS


@pytest.fixture
def queue(site: SimSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.setenv("GRAFTLINE_CACHE", str(tmp_path / "cache"))
    return Queue(site)


def provenance(archive: zipfile.ZipFile) -> Provenance:
    return Provenance.model_validate_json(archive.read("provenance.json"))


def coco(archive: zipfile.ZipFile) -> dict[str, list[dict[str, object]]]:
    found = json.loads(archive.read("all.json"))
    assert isinstance(found, dict)
    return found


# --- the queue ----------------------------------------------------------------------


def test_queue_holds_verdicts_and_uncertain_alerts_only(queue: Queue) -> None:
    false = queue.add(detection("dent", 0.5))
    queue.judge(false, FALSE)
    sure = queue.add(detection("dent", 0.9))
    near = queue.add(detection("dent", 0.55))
    assert queue.listed() == [near, false]
    assert queue.listed("kind=uncertain") == [near]
    assert queue.listed("kind=false-alarm") == [false]
    assert sure not in queue.listed()
    queue.judge(near, REAL)
    assert queue.listed("kind=uncertain") == []
    page = get(queue.site.app, f"/api/learning?{EVERY_KIND}").json
    assert page["counts"] == {
        "false-alarm": 1,
        "real-defect": 1,
        "other-class": 0,
        "uncertain": 0,
    }


def test_nearness_is_of_each_class(queue: Queue) -> None:
    low = queue.add(detection("scratch", 0.2))
    high = queue.add(detection("dent", 0.8))
    queue.add(detection("scratch", 0.8))
    assert set(queue.listed("kind=uncertain")) == {low, high}


def test_queue_is_filtered_by_place_class_and_what_is_new(queue: Queue) -> None:
    one = queue.add(detection("dent"))
    two = queue.add(detection("scratch"), camera="side")
    for each in (one, two):
        queue.judge(each, FALSE)
    assert queue.listed("label=dent") == [one]
    assert queue.listed("place=plant/line-1/press-1/side") == [two]
    assert queue.listed("place=plant/line-2") == []
    queue.export("label=dent")
    assert queue.listed("new=1") == [two]


def test_alert_that_was_judged_again_is_new_again(queue: Queue) -> None:
    event = queue.add()
    queue.judge(event, FALSE)
    queue.export()
    assert queue.listed("new=1") == []
    queue.judge(event, REAL)
    assert queue.listed("new=1") == [event]


def test_withdrawn_verdict_leaves_the_queue(queue: Queue) -> None:
    event = queue.add()
    queue.judge(event, FALSE)
    queue.judge(event, OperatorVerdict.NONE)
    assert queue.listed("kind=false-alarm") == []


def test_left_out_alert_is_not_exported_until_it_is_taken_in(queue: Queue) -> None:
    event = queue.add()
    queue.judge(event, FALSE)
    body = {"ids": [event, "none:1"], "left_out": True}
    answer = post_json(queue.site.app, "/api/learning/left-out", body)
    assert answer.json == {"changed": 1}
    assert queue.listed() == []
    assert queue.listed(f"{EVERY_KIND}&left_out=1") == [event]
    assert provenance(queue.export()).photos == {}
    post_json(queue.site.app, "/api/learning/left-out", {**body, "left_out": False})
    assert queue.listed() == [event]


def test_queue_is_shown_page_by_page_without_holes(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.web.learning.routes.PAGE_ALERTS", 2)
    events = [queue.add() for _ in range(5)]
    for each in events:
        queue.judge(each, FALSE)
    shown: list[str] = []
    before = ""
    for _ in range(3):
        page = get(queue.site.app, f"/api/learning?{before}").json["alerts"]
        shown += [each["id"] for each in page]
        before = f"before={page[-1]['n']}"
    assert shown == events[::-1]
    page = get(queue.site.app, "/learning").body.decode()
    assert page.count('class="panel card"') == 2
    assert "before=" in page


def test_hostile_class_stays_text_on_the_page(queue: Queue) -> None:
    event = queue.add(detection(HOSTILE.replace("\0", "")))
    queue.judge(event, OTHER, HOSTILE.replace("\0", ""))
    body = get(queue.site.app, "/learning").body
    assert b"<img src=x" not in body
    assert b"&lt;img src=x" in body


@pytest.mark.parametrize(
    "query",
    [
        "kind=all",
        "span=9d",
        "place=..%2f..",
        "place=a/b/c/d/e",
        "place=PLANT",
        "before=-1",
        "before=%D9%A3",
        "before=" + "9" * 30,
        "before=" + "0" * 30 + "9" * 20,
    ],
)
def test_filter_that_means_nothing_is_refused(queue: Queue, query: str) -> None:
    for path in ("/learning", "/api/learning", "/learning/export.zip"):
        if path.endswith("zip") and query.startswith("before"):
            continue
        assert get(queue.site.app, f"{path}?{query}").status == 400


@pytest.mark.parametrize(
    "body",
    [
        {"ids": [], "left_out": True},
        {"ids": ["../x"], "left_out": True},
        {"ids": ["a:1"] * 201, "left_out": True},
        {"ids": ["a:1"]},
    ],
    ids=["none", "path", "many", "field"],
)
def test_choice_that_means_nothing_is_refused(
    queue: Queue, body: dict[str, object]
) -> None:
    assert post_json(queue.site.app, "/api/learning/left-out", body).status == 400


# --- the export ---------------------------------------------------------------------


def test_false_alarms_are_good_parts_and_real_defects_have_boxes(queue: Queue) -> None:
    false = queue.add()
    real = queue.add(detection("dent", 0.8, (160, 120, 320, 240)))
    queue.judge(false, FALSE)
    queue.judge(real, REAL)
    archive = queue.export()
    assert archive.testzip() is None
    document = coco(archive)
    [image] = document["images"]
    [box] = document["annotations"]
    assert str(image["file_name"]).startswith("images/plant-line-1-press-1-top-")
    assert (image["width"], image["height"]) == (640, 480)
    assert box["bbox"] == [160, 120, 160, 120]
    assert "score" not in box  # a person has confirmed it
    good = [name for name in archive.namelist() if name.startswith("good/")]
    assert len(good) == 1
    origins = {each.alerts[0].id: each for each in provenance(archive).photos.values()}
    assert origins[false].photo == good[0]
    assert origins[false].verdict is PhotoVerdict.GOOD
    origin = origins[real].alerts[0]
    assert (origin.verdict, origin.judged_by) == ("real-defect", "anna")
    assert origin.model.build == 1763900000
    assert origins[real].is_thumbnail


def test_other_class_replaces_that_of_the_model(queue: Queue) -> None:
    event = queue.add(detection("dent"))
    queue.judge(event, OTHER, "stain")
    archive = queue.export()
    assert [each["name"] for each in coco(archive)["categories"]] == ["stain"]
    [photo] = provenance(archive).photos.values()
    assert photo.labelled[0].label == "stain"
    assert photo.alerts[0].detections[0].label == "dent"


def test_alerts_of_one_frame_are_one_photo_with_the_boxes_of_the_real_ones(
    queue: Queue,
) -> None:
    frame = picture(77)
    one = queue.add(detection("dent"), jpeg=frame)
    two = queue.add(detection("scratch", 0.7, (10, 10, 50, 50)), jpeg=frame)
    queue.judge(one, FALSE)
    queue.judge(two, REAL)
    archive = queue.export()
    document = coco(archive)
    assert len(document["images"]) == 1
    assert [each["bbox"] for each in document["annotations"]] == [[10, 10, 40, 40]]
    assert {a.id for p in provenance(archive).photos.values() for a in p.alerts} == {
        one,
        two,
    }


@pytest.mark.parametrize("kind", ["coco", "cvat", "label-studio"])
def test_name_of_an_unknown_defect_is_a_label_beside_the_named_ones(
    queue: Queue, kind: str
) -> None:
    unknown = detection("unknown", 0.7, (160, 120, 320, 240))
    queue.judge(queue.add(detection("dent"), unknown), OTHER, "new crack")
    archive = queue.export(kind=kind)
    [photo] = provenance(archive).photos.values()
    assert [box.label for box in photo.labelled] == ["dent", "new crack"]
    assert photo.labelled[1].box_px == (160, 120, 320, 240)
    [labels] = [n for n in archive.namelist() if n.endswith((".json", ".xml"))][:1]
    text = archive.read(labels).decode()
    assert "new crack" in text
    assert "dent" in text
    assert '"unknown"' not in text


def test_photo_whose_alerts_are_not_all_judged_is_no_good_part(queue: Queue) -> None:
    frame = picture(77)
    one = queue.add(detection("dent"), jpeg=frame)
    queue.add(detection("scratch", 0.99), jpeg=frame)
    queue.judge(one, FALSE)
    archive = queue.export("kind=false-alarm")
    [photo] = provenance(archive).photos.values()
    assert photo.verdict is PhotoVerdict.NONE
    assert photo.photo.startswith("images/")


@pytest.mark.parametrize("query", [EVERY_KIND, "kind=false-alarm"])
def test_picture_that_was_judged_differently_is_withheld_and_named(
    queue: Queue, query: str
) -> None:
    frame, now = picture(77), datetime.now(UTC)
    real = queue.add(jpeg=frame, captured_at=now - timedelta(minutes=9))
    false = queue.add(jpeg=frame, captured_at=now)
    queue.judge(real, REAL)
    queue.judge(false, FALSE)
    archive = queue.export(query)
    assert [name for name in archive.namelist() if name.endswith(".jpg")] == []
    skipped = {each.id: each.reason for each in provenance(archive).skipped}
    assert skipped[false] == "people judged the same picture differently"
    queue.judge(real, FALSE)
    assert [each.photo[:5] for each in provenance(queue.export()).photos.values()] == [
        "good/"
    ]


@pytest.mark.parametrize("kind", ["coco", "cvat"])
def test_export_is_read_by_the_trainer_without_a_finding(
    queue: Queue, tmp_path: Path, kind: str
) -> None:
    queue.judge(queue.add(), FALSE)
    queue.judge(queue.add(detection("dent", 0.8, (160, 120, 320, 240))), REAL)
    dataset = open_dataset(queue.export_to(tmp_path / "export.zip", kind=kind))
    assert dataset.findings == ()
    assert dataset.labels == ("dent",)
    boxes = [photo.boxes.tolist() for photo in dataset.photos]
    assert sorted(boxes, key=len) == [[], [[160, 120, 320, 240]]]


def test_label_studio_gets_predictions_that_are_no_labels_yet(
    queue: Queue, tmp_path: Path
) -> None:
    queue.judge(queue.add(), FALSE)
    queue.add(detection("dent", 0.8))
    archive = queue.export(kind="label-studio")
    [task] = json.loads(archive.read("tasks.json"))
    [region] = task["predictions"][0]["result"]
    assert region["value"]["rectanglelabels"] == ["dent"]
    assert region["score"] == 0.8
    path = queue.export_to(tmp_path / "export.zip", kind="label-studio")
    dataset = open_dataset(path)
    assert [photo.is_good for photo in dataset.photos] == [True]
    assert len(dataset.unlabelled) == 1


@pytest.mark.parametrize("kind", ["coco", "cvat", "label-studio"])
def test_hostile_names_and_pictures_make_no_path_and_no_markup(
    queue: Queue, kind: str
) -> None:
    part = "../../etc/passwd"
    queue.judge(queue.add(detection(HOSTILE), part_id=part), REAL)
    queue.judge(queue.add(jpeg=b"\xff\xd8\xff<script>"), REAL)
    queue.judge(queue.add(jpeg=picture(5)[:-200]), REAL)
    archive = queue.export(kind=kind)
    names = archive.namelist()
    assert all(".." not in name and not name.startswith("/") for name in names)
    assert len([name for name in names if name.endswith(".jpg")]) == 1
    reasons = [each.reason for each in provenance(archive).skipped]
    assert reasons == ["its picture is damaged"] * 2
    if kind == "cvat":
        assert b"<img src=x" not in archive.read("annotations.xml")


def test_picture_that_was_removed_meanwhile_is_not_listed(queue: Queue) -> None:
    event = queue.add()
    queue.judge(event, FALSE)
    with queue.site.database.write() as connection:
        connection.execute(images.delete())
    assert queue.listed() == []
    assert provenance(queue.export()).photos == {}


def test_full_picture_is_exported_where_it_was_fetched(queue: Queue) -> None:
    event = queue.add(detection("dent", 0.8, (160, 120, 320, 240)))
    queue.judge(event, REAL)
    frame = np.full((960, 1280, 3), 90, np.uint8)
    full = bytes(cv2.imencode(".jpg", frame)[1])
    limits = {"at_ms": now_ms(), "most_bytes": 1 << 20, "keep_days": 9}
    with queue.site.database.write() as connection:
        assert keep_full_picture(connection, event, full, **limits)
    archive = queue.export()
    document = coco(archive)
    assert (document["images"][0]["width"], document["images"][0]["height"]) == (
        1280,
        960,
    )
    assert document["annotations"][0]["bbox"] == [320, 240, 320, 240]
    [photo] = provenance(archive).photos.values()
    assert not photo.is_thumbnail
    assert archive.read(photo.photo) == full


def test_export_is_bounded(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning_export, "PHOTOS_MAX", 3)
    for _ in range(5):
        queue.judge(queue.add(), FALSE)
    assert len(provenance(queue.export()).photos) == 3


def test_third_export_at_a_time_is_refused_and_a_later_one_is_not(queue: Queue) -> None:
    queue.judge(queue.add(), FALSE)
    for _ in range(learning_export.RUNNING_MAX):
        assert learning_export.running.acquire(blocking=False)
    try:
        assert get(queue.site.app, "/learning/export.zip").status == 503
    finally:
        for _ in range(learning_export.RUNNING_MAX):
            learning_export.running.release()
    for _ in range(learning_export.RUNNING_MAX + 1):
        assert len(queue.export().namelist()) == 3


def test_export_is_in_the_audit_trail(queue: Queue) -> None:
    queue.judge(queue.add(), FALSE)
    queue.export()
    with queue.site.database.read() as connection:
        *_, start, end = connection.execute(entries.select().order_by(entries.c.n))
    assert (start.action, start.subject) == ("learning.export", "coco")
    assert (end.action, end.subject) == ("learning.exported", "coco")
    assert json.loads(end.details)["photos"] == 1


def test_export_that_is_broken_off_is_in_the_audit_trail(queue: Queue) -> None:
    for _ in range(3):
        queue.judge(queue.add(), FALSE)
    wanted = LearningFilter(JUDGED, 0, now_ms() + 1)
    database, kind = queue.site.database, learning_export.ExportFormat.COCO
    chunks = learning_export.export_chunks(database, wanted, kind, "eve")
    next(chunks)
    with database.read() as connection:
        *_, last = connection.execute(entries.select().order_by(entries.c.n))
    assert (last.action, last.user) == ("learning.export", "eve")
    del chunks  # ends it


def test_operator_may_choose_and_not_export(queue: Queue) -> None:
    assert Role.OPERATOR < Role.ENGINEER
    assert learning_role("export") is Role.ENGINEER
    assert learning_role("leave_out") is Role.OPERATOR


def learning_role(name: str) -> object:
    from dashboard.web.learning.routes import Learning

    return getattr(Learning, name).role
