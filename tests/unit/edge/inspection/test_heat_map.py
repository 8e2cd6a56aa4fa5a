"""The scores of the cells lie where the frame shows them, also with tiles."""

import numpy as np
import pytest

from edge.inspection.heat_map import STEP_PX, heat_map_of
from edge.inspection.model import LoadedModel
from edge.inspection.pipeline import Pipeline
from models.boxes import FloatArray
from models.heat_map import CELL_PX, SIDE_MAX_PX
from models.inference import open_requests
from models.preprocess import Letterbox
from models.tiles import Tiles
from tests.simulators.cameras import MARK, SimCamera, sim_channel, sim_model
from tests.unit.edge.inspection.test_pipeline import SimRecorder

NAMED_ANCHORS = 7


def output_of(*grids: FloatArray, named: int = 0) -> FloatArray:
    """Return the output of a graph: the largest cell is the box, as in the export.

    Args:
        grids: ``[h, w]`` scores in 0..1 of each tile.
        named: Classes before ``unknown``.
    """
    parts = []
    for grid in grids:
        scores = np.where(grid == grid.max(), grid, -grid).ravel()
        part = np.zeros((5 + named, NAMED_ANCHORS * bool(named) + grid.size))
        part[4:-1, :NAMED_ANCHORS] = 0.9  # named classes score elsewhere
        part[-1, -grid.size :] = scores
        parts.append(part)
    return np.concatenate(parts, axis=1).astype(np.float32)


def grid(rows: int, columns: int, *hot: tuple[int, int]) -> FloatArray:
    """Return a grid of 0.02 with 0.8 at these cells, the first one a little more."""
    scores = np.full((rows, columns), 0.02, np.float32)
    for place, (row, column) in enumerate(hot):
        scores[row, column] = 0.8 - 0.001 * place
    return scores


@pytest.mark.parametrize("named", [0, 2])
def test_cell_is_where_the_frame_shows_it(named: int) -> None:
    # A frame of 800 x 600 in an input of 320 x 320: scale 0.4, 320 x 240 are covered.
    letterbox = Letterbox(600, 800, 320, 320)
    output = output_of(grid(20, 20, (10, 5), (3, 19)), named=named)
    found = heat_map_of(output, named, letterbox, None)
    assert found is not None
    assert found.shape == (240 // STEP_PX, 320 // STEP_PX)
    hot = np.argwhere(found > 150)  # [N, 2] rows and columns
    frame_px = hot[:, ::-1] * STEP_PX / letterbox.scale
    # Cells (10, 5) and (3, 19) of 16 px are x 80..96, y 160..176, and x 304, y 48.
    assert {tuple(map(int, p)) for p in frame_px // 40} == {(5, 10), (19, 3)}
    assert found.max() == round(0.8 * 255)
    assert np.median(found) == round(0.02 * 255)


def test_frame_that_ends_inside_a_cell_is_covered_exactly() -> None:
    letterbox = Letterbox(101, 333, 320, 320)
    output = output_of(grid(20, 20, (0, 0)))
    found = heat_map_of(output, 0, letterbox, None)
    assert found is not None
    height, width = letterbox.content_size_px
    assert found.shape == (round(height / STEP_PX), round(width / STEP_PX))
    assert found.shape[1] / found.shape[0] == pytest.approx(333 / 101, rel=0.03)


def test_tiles_are_joined_and_the_larger_score_of_an_overlap_counts() -> None:
    tiles = Tiles(64, 112, 64, 64, 16)  # two tiles, the second one at x = 48
    assert tiles.corners() == [(0, 0), (48, 0)]
    letterbox = Letterbox(64, 112, 64, 112)
    left, right = grid(4, 4, (0, 3)), grid(4, 4, (2, 3))
    right[1, 0] = 0.4  # the same place as (1, 3) of the left one
    found = heat_map_of(output_of(left, right), 0, letterbox, tiles)
    assert found is not None
    assert found.shape == (16, 28)
    cells = found[::4, ::4]  # one of each cell
    assert {tuple(each) for each in np.argwhere(cells > 150).tolist()} == {
        (0, 3),
        (2, 6),
    }
    assert cells[1, 3] == round(0.4 * 255)


def test_tile_at_any_pixel_is_within_a_step() -> None:
    tiles = Tiles(64, 106, 64, 64, 16)
    assert tiles.corners() == [(0, 0), (42, 0)]
    output = output_of(grid(4, 4, (0, 0)), grid(4, 4, (2, 3)))
    found = heat_map_of(output, 0, Letterbox(64, 106, 64, 106), tiles)
    assert found is not None
    columns = np.flatnonzero((found[8:12] > 150).all(axis=0)) * STEP_PX
    assert abs(int(columns.min()) - (42 + 3 * CELL_PX)) < STEP_PX


def test_large_picture_is_made_smaller_and_keeps_its_hot_cell() -> None:
    rows, columns = 270, 480  # 7680 x 4320 px
    letterbox = Letterbox(16 * rows, 16 * columns, 16 * rows, 16 * columns)
    found = heat_map_of(output_of(grid(rows, columns, (100, 300))), 0, letterbox, None)
    assert found is not None
    assert max(found.shape) == SIDE_MAX_PX
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert found.max() > 100
    assert abs(row / found.shape[0] - 100.5 / rows) < 0.004
    assert abs(column / found.shape[1] - 300.5 / columns) < 0.004


def test_package_of_an_earlier_version_has_no_heat_map() -> None:
    output = output_of(grid(20, 20, (10, 5)))
    output[4] = output[4].clip(0)  # scores of boxes only
    assert heat_map_of(output, 0, Letterbox(600, 800, 320, 320), None) is None


class UnknownDetector:
    """Finds ``unknown`` in a frame that is marked, and a scratch in every frame."""

    input_size_px = (64, 64)

    def infer(self, image: np.ndarray) -> FloatArray:
        is_marked = image[0, 0, 0] == MARK
        scratch = np.array([[8, 8, 8, 8, 0.8, 0]], np.float32).T
        scores = grid(4, 4, (1, 2)) if is_marked else grid(4, 4) / 2
        cells = np.zeros((6, 16), np.float32)
        cells[:4] = np.array([[40], [24], [16], [16]])
        cells[5] = -scores.ravel()
        cells[5, 6] *= -1
        return np.concatenate((scratch, cells), axis=1)


class BrokenDetector:
    """Gives nothing that can be compared with a threshold."""

    input_size_px = (64, 64)

    def infer(self, image: np.ndarray) -> FloatArray:
        output = UnknownDetector().infer(image)
        output[0, 0] = np.nan
        return output


class SimTrial:
    """A trial whose new model fails: the old one is put back."""

    def __init__(self, base: LoadedModel) -> None:
        self.base = base

    def rescue(self, *_: object) -> LoadedModel:
        return self.base

    def add_decided(self, *_: object) -> None:
        pass


def model_of(detector: UnknownDetector | BrokenDetector) -> LoadedModel:
    model = sim_model()
    model.detector, model.unknown = detector, 1
    model.requests = open_requests(detector, 1)
    return model


def decisions_of(*marks: bool) -> list[FloatArray | None]:
    """Return the heat map of each frame of a triggered camera."""
    model = model_of(UnknownDetector())
    camera, recorder = SimCamera("top", is_triggered=True), SimRecorder()
    for number, mark in enumerate(marks):
        camera.show(number, defect=mark)
    pipeline = Pipeline(model, [sim_channel(camera)], recorder)  # type: ignore[arg-type]
    while pipeline.run_once():
        pass
    assert all(each.unknown == 1 for each in recorder.decisions)
    return [each.heat_map for each in recorder.decisions]


def test_only_a_frame_with_an_unknown_defect_has_a_heat_map() -> None:
    without, with_map = decisions_of(False, True)
    assert without is None
    assert with_map is not None
    assert with_map.shape == (48 // STEP_PX, 64 // STEP_PX)
    assert with_map[4, 8] == with_map.max() == round(0.8 * 255)


def test_frame_that_the_old_model_rescues_has_no_heat_map_of_the_new_one() -> None:
    camera, recorder = SimCamera("top", is_triggered=True), SimRecorder()
    camera.show(0, defect=True)
    new, base = model_of(BrokenDetector()), model_of(UnknownDetector())
    pipeline = Pipeline(new, [sim_channel(camera)], recorder)  # type: ignore[arg-type]
    pipeline.trial = SimTrial(base)  # type: ignore[assignment]
    while pipeline.run_once():
        pass
    [decision] = recorder.decisions
    assert decision.detections is not None
    assert 1 in decision.detections.labels
    assert decision.heat_map is None
