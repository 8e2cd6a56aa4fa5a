import numpy as np

from edge.cameras.health.appearance import Measurer
from edge.cameras.health.baseline import Background, BaselineLearner, halved
from tests.simulators import scenes

LEARN = 20


def test_movement_is_not_detected_without_still_edges() -> None:
    learner, measurer = BaselineLearner(LEARN), Measurer()
    rng = np.random.default_rng(3)
    results = [
        learner.add(measurer.measure(rng.integers(0, 255, (90, 160, 3), np.uint8)))
        for _ in range(LEARN)
    ]
    assert results[-1] is not None
    background = Background(results[-1])
    assert not background.detects_movement
    assert background.similarity(np.zeros((90, 160), np.uint8)) == 1


def test_moved_camera_lowers_the_similarity_of_the_background() -> None:
    learner, measurer = BaselineLearner(LEARN), Measurer()
    learned = [learner.add(measurer.measure(scenes.scene(at))) for at in range(LEARN)]
    assert learned[-1] is not None
    background = Background(learned[-1])
    assert background.detects_movement
    assert background.similarity(measurer.measure(scenes.scene(0)).scene) > 0.9
    for number in range(40):
        scene = measurer.measure(scenes.moved(number)).scene
        similarity = background.similarity(scene)
    assert similarity < 0.5


def test_halved_scene_is_the_mean_of_two_by_two_pixels() -> None:
    scene = np.array([[0, 4, 9], [8, 12, 9], [9, 9, 9]], np.uint8)
    assert halved(scene).tolist() == [[6]]
    row = np.array([[1, 2, 3]], np.uint8)
    assert halved(row) is row
