"""Photos without a label on which a run finds defects."""

import json
from dataclasses import replace
from pathlib import Path

from models.manifest import Thresholds
from tests.simulators.runs import HEIGHT_PX, LABELS, WIDTH_PX, make_run, write_spots
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.findings import FindingKind
from trainer.evaluation.evaluate import TORCH, EvaluatedModel
from trainer.evaluation.torch_detector import TorchDetector
from trainer.label_errors.unlabelled import find_unlabelled_defects


def model_of(folder: Path, dataset: Dataset) -> EvaluatedModel:
    run = make_run(folder, dataset)
    detector = TorchDetector(run.model, HEIGHT_PX, WIDTH_PX)
    sure = dict.fromkeys(LABELS, 0.6)
    thresholds = replace_scores(run.record.thresholds, sure)
    return EvaluatedModel("spots", TORCH, LABELS, thresholds, detector)


def replace_scores(thresholds: Thresholds, scores: dict[str, float]) -> Thresholds:
    return thresholds.model_copy(update={"scores": scores})


def test_unlabelled_defect_is_found_and_good_parts_are_not(
    tmp_path: Path,
) -> None:
    root = tmp_path / "d"
    write_spots(root, good=4)
    model = model_of(tmp_path, open_dataset(root))
    path = root / "val.json"
    document = json.loads(path.read_text("utf-8"))
    [forgotten, *_] = document["annotations"]
    image = forgotten["image_id"]
    rows = [row for row in document["annotations"] if row["image_id"] != image]
    path.write_text(json.dumps(document | {"annotations": rows}), "utf-8")
    counted: list[None] = []
    dataset = open_dataset(root)
    found = find_unlabelled_defects(model, dataset, lambda: counted.append(None))
    assert len(counted) == 5  # four good parts and the photo without its labels
    [finding] = found
    assert finding.file.name == f"val-{image}.png"
    assert finding.kind is FindingKind.LOOKS_DEFECTIVE
    x, y, width, _ = forgotten["bbox"]
    assert any(abs(box[0] - x) + abs(box[1] - y) < width / 2 for box in finding.boxes)


def test_thresholds_of_the_run_decide(tmp_path: Path) -> None:
    root = tmp_path / "d"
    write_spots(root, good=4)
    dataset = open_dataset(root)
    bare = replace(
        dataset,
        splits={
            "val": tuple(
                replace(p, boxes=p.boxes[:0], labels=p.labels[:0])
                for p in dataset.splits["val"]
            )
        },
    )
    model = model_of(tmp_path, dataset)
    assert len(find_unlabelled_defects(model, bare)) > 9
    never = replace_scores(model.thresholds, dict.fromkeys(LABELS, 1.0))
    assert not find_unlabelled_defects(replace(model, thresholds=never), bare)
