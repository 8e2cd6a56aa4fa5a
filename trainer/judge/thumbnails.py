"""Photos small enough to be carried inside a page."""

import base64

import cv2
import numpy as np

from models.preprocess import Frame

JPEG_QUALITY = 78


def data_uri(picture: Frame, longest_side_px: int) -> str:
    """Return a picture as the address of a JPEG inside the page.

    Args:
        picture: ``[H, W, 3]`` uint8, BGR.
        longest_side_px: It is made smaller to this, never larger.
    """
    scale = longest_side_px / max(picture.shape[:2])
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        picture = np.asarray(small, np.uint8)
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()
