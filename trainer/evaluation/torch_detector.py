"""A torch network behind the interface that the daemon uses."""

import torch

from models.boxes import FloatArray
from models.preprocess import Frame, planar
from trainer.detectors.base import TrainableDetector


class TorchDetector:
    """Runs a torch network as ``models.detector.Detector``.

    Args:
        model: Put into evaluation mode; stays on its device.
    """

    def __init__(
        self, model: TrainableDetector, input_height_px: int, input_width_px: int
    ) -> None:
        self._model = model.eval()
        self.input_size_px: tuple[int, int] = (input_height_px, input_width_px)
        self._device = next(model.parameters()).device

    def infer(self, image: Frame) -> FloatArray:
        """Run the graph once; see ``models.detector.Detector.infer``."""
        tensor = torch.from_numpy(planar(image)).to(self._device)
        tensor = tensor.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            output = self._model.detections(tensor)[0].float().cpu().numpy()
        result: FloatArray = output
        return result
