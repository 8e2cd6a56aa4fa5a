"""Cut-off JPEGs and pictures without colour, recognized by their pixels."""

import cv2
import numpy as np
import pytest

from models.pictures import decode_picture
from trainer.data.picture import ends_in_filler, is_grey

EXIF_TURNED = bytes.fromhex(
    "45786966000049492a0008000000010012010300010000000600000000000000"
)


def photo(height: int = 120, width: int = 200) -> np.ndarray:
    """Return a photo with texture."""
    rng = np.random.default_rng(0)
    noise = rng.normal(120, 20, (height, width, 3))
    return noise.clip(0, 255).astype(np.uint8)


def jpeg(picture: np.ndarray, *options: int) -> bytes:
    return cv2.imencode(".jpg", picture, options)[1].tobytes()


def turned(content: bytes) -> bytes:
    """Return a JPEG with a quarter turn in its EXIF."""
    segment = b"\xff\xe1" + (len(EXIF_TURNED) + 2).to_bytes(2, "big") + EXIF_TURNED
    return content[:2] + segment + content[2:]


def decode_leniently(content: bytes) -> np.ndarray:
    """Return the pixels of a JPEG, damaged or not."""
    coded = np.frombuffer(content, np.uint8)
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)


def is_filled(content: bytes) -> bool:
    return ends_in_filler(content, decode_leniently(content))


@pytest.mark.parametrize("share", [0.3, 0.5, 0.62, 0.8, 0.9])
@pytest.mark.parametrize("is_turned", [False, True])
def test_jpeg_that_was_cut_and_given_an_end_is_found(
    share: float, is_turned: bool
) -> None:
    content = jpeg(photo())
    cut = content[: int(share * len(content))] + b"\xff\xd9"
    assert is_filled(turned(cut) if is_turned else cut)


@pytest.mark.parametrize("sampling", [0x411111, 0x221111, 0x111111])
def test_cut_off_jpeg_is_found_with_every_sampling_of_colour(sampling: int) -> None:
    content = jpeg(photo(), cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling)
    assert is_filled(content[: len(content) // 2] + b"\xff\xd9")


def test_grey_jpeg_is_found_too() -> None:
    content = jpeg(cv2.cvtColor(photo(), cv2.COLOR_BGR2GRAY))
    assert is_filled(content[: len(content) // 2] + b"\xff\xd9")


def with_grey(rows: int, columns: int = 0) -> np.ndarray:
    """Return a photo whose last rows, or columns, are the grey of filler."""
    picture = photo()
    picture[picture.shape[0] - rows :] = 128
    picture[:, picture.shape[1] - columns :] = 128
    return picture


@pytest.mark.parametrize(
    "picture",
    [
        photo(),
        with_grey(0, 48),  # padded at the right
        with_grey(48),  # padded below
        with_grey(48, 48),  # padded at both
        np.full((120, 200, 3), 128, np.uint8),
    ],
)
def test_whole_jpegs_are_not_suspected(picture: np.ndarray) -> None:
    assert not is_filled(jpeg(picture, cv2.IMWRITE_JPEG_QUALITY, 95))


def test_png_is_never_suspected() -> None:
    cut = decode_leniently(jpeg(photo())[:9000] + b"\xff\xd9")
    assert not is_filled(cv2.imencode(".png", cut)[1].tobytes())


def test_grey_photo_stays_grey_as_jpeg() -> None:
    grey = cv2.cvtColor(photo(), cv2.COLOR_BGR2GRAY)
    for content in (jpeg(grey), jpeg(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))):
        assert is_grey(decode_picture(content))


def test_one_coloured_spot_is_colour() -> None:
    picture = np.full((64, 64, 3), 90, np.uint8)
    picture[16:32, 16:32] = (60, 90, 90)
    assert not is_grey(picture)
