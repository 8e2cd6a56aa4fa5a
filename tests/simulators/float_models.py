"""The float models of ``CellDetector`` and photos to calibrate its INT8 models."""

from pathlib import Path

from tests.simulators.runs import HEIGHT_PX, WIDTH_PX, CellDetector, write_spots
from trainer.data.dataset import Dataset, Photo, open_dataset
from trainer.ship.calibration import Calibration, choose_calibration
from trainer.ship.export import convert_openvino, export_onnx


def spots(folder: Path, *, train: int, good: int) -> Dataset:
    """Write photos of spots and of good parts and open them as a dataset."""
    write_spots(folder, train=train, val=1, good=good)
    return open_dataset(folder)


def calibrate(
    photos: tuple[Photo, ...], count: int = 100, seed: int = 0
) -> Calibration:
    """Choose photos for the input of ``CellDetector``."""
    return choose_calibration(
        photos,
        seed=seed,
        input_height_px=HEIGHT_PX,
        input_width_px=WIDTH_PX,
        count=count,
    )


def export_float(folder: Path) -> None:
    """Write ``fp32.onnx`` and ``fp32.xml``."""
    export_onnx(
        CellDetector(),
        folder / "fp32.onnx",
        input_height_px=HEIGHT_PX,
        input_width_px=WIDTH_PX,
        info={},
    )
    convert_openvino(folder / "fp32.onnx", folder / "fp32.xml", {})
