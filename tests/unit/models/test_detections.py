import numpy as np

from models.detections import Detections, no_detections

THREE = Detections(
    np.arange(12, dtype=np.float32).reshape(3, 4),
    np.array([0.9, 0.6, 0.4], np.float32),
    np.array([0, 1, 0]),
)


def test_detections_above_their_own_labels_threshold_are_kept() -> None:
    above = THREE.above(np.array([0.5, 0.7], np.float32))
    assert above.scores.tolist() == [np.float32(0.9)]
    assert above.boxes.tolist() == [[0, 1, 2, 3]]


def test_selection_is_in_the_order_of_the_index() -> None:
    assert THREE.select(np.array([2, 0])).labels.tolist() == [0, 0]
    assert THREE.select(np.array([2, 0])).boxes[0].tolist() == [8, 9, 10, 11]


def test_empty_detections_have_the_shapes_of_others() -> None:
    nothing = no_detections()
    assert len(nothing) == 0
    assert len(nothing.above(np.zeros(2, np.float32))) == 0
    for mine, full in zip(
        (nothing.boxes, nothing.scores, nothing.labels),
        (THREE.boxes, THREE.scores, THREE.labels),
        strict=True,
    ):
        assert mine.dtype == full.dtype
        assert mine.shape[1:] == full.shape[1:]
