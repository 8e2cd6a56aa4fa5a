"""Picture files: cut off, followed by a film, in every depth, colour and rotation."""

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.pictures import (
    BitDepthError,
    PictureError,
    decode_picture,
    decode_pixels,
    least_depth,
    read_picture,
)
from tests.simulators.picture_files import (
    BITS,
    EXTRA_SAMPLES,
    PHOTOMETRIC,
    SAMPLES,
    absurd_png,
    damaged_jpeg,
    jpeg,
    noisy_png,
    packed,
    png_chunk,
    png_file,
    tiff_file,
    with_thumbnail,
)

PIXELS = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
EXACT = {".png": [], ".bmp": [], ".tif": [], ".webp": [cv2.IMWRITE_WEBP_QUALITY, 101]}


def is_refused(content: bytes) -> bool:
    try:
        decode_picture(content)
    except PictureError:
        return True
    return False


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"hello", "damaged, or not a picture"),
        (jpeg()[:-2], "the JPEG is cut off"),
        (absurd_png(), "states 60000 x 60000 pixels, at most 400 million are read"),
    ],
)
def test_reason_of_a_refused_file_is_stated(content: bytes, reason: str) -> None:
    with pytest.raises(PictureError, match=reason):
        decode_picture(content)


def test_picture_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(coded(".png", PIXELS))
    assert np.array_equal(read_picture(tmp_path / "a.png"), PIXELS)
    with pytest.raises(FileNotFoundError):
        read_picture(tmp_path / "b.png")


@pytest.mark.parametrize(
    "parameters",
    [
        (),
        (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        (cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    ],
)
def test_jpeg_followed_by_a_film_is_whole(parameters: tuple[int, ...]) -> None:
    content = with_thumbnail(jpeg(64, *parameters))
    film = b"\0\0\0\x18ftypmp42" + b"\xff\xda\0\x03" * 5000
    picture, alone = decode_picture(content + film), decode_picture(content)
    assert np.array_equal(picture, alone)


@pytest.mark.parametrize("lost_bytes", [1, 2, 300])
@pytest.mark.parametrize("progressive", [0, 1])
def test_jpeg_cut_off_soon_after_its_thumbnail_is_refused(
    lost_bytes: int, progressive: int
) -> None:
    whole = with_thumbnail(jpeg(64, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive))
    assert len(whole) < 4096
    assert not is_refused(whole)
    assert is_refused(whole[:-lost_bytes])


def coded(suffix: str, pixels: np.ndarray, *parameters: int) -> bytes:
    """Return a picture file."""
    return cv2.imencode(suffix, pixels, parameters)[1].tobytes()


@pytest.mark.parametrize("suffix", EXACT)
def test_pixels_are_those_of_the_file_in_bgr(suffix: str) -> None:
    picture = decode_picture(coded(suffix, PIXELS, *EXACT[suffix]))
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, PIXELS)


@pytest.mark.parametrize("suffix", EXACT)
def test_transparency_is_left_out(suffix: str) -> None:
    alpha = np.full((24, 32, 1), 100, np.uint8)
    content = coded(suffix, np.concatenate([PIXELS, alpha], 2), *EXACT[suffix])
    picture = decode_picture(content)
    assert np.array_equal(picture, PIXELS)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_of_8_and_16_bits_becomes_three_equal_channels(suffix: str) -> None:
    grey = PIXELS[..., 0]
    deep = grey.astype(np.uint16) * 256 + 255  # what is below the upper byte is lost
    for pixels in (grey, deep):
        picture = decode_picture(coded(suffix, pixels), 16)
        assert np.array_equal(picture, np.repeat(grey[..., None], 3, axis=2))


DEEP = np.random.default_rng(0).integers(0, 4096, (24, 32, 3), dtype=np.uint16)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("bit_depth", [12, 14, 16])
def test_deep_values_are_shifted_by_the_bit_depth(
    suffix: str, channels: int, bit_depth: int
) -> None:
    alpha = np.full((24, 32, 1), 65535, np.uint16)
    pixels = np.concatenate([DEEP, alpha], 2)[..., :channels]
    picture = decode_picture(coded(suffix, pixels), bit_depth)
    assert picture.dtype == np.uint8
    expected = (DEEP[..., :1] if channels == 1 else DEEP) >> (bit_depth - 8)
    assert np.array_equal(picture, np.broadcast_to(expected, (24, 32, 3)))


def test_camera_that_writes_its_12_bits_into_the_upper_ones_needs_no_change() -> None:
    picture = decode_picture(coded(".png", DEEP << 4), 16)
    assert np.array_equal(picture, DEEP >> 4)
    assert least_depth(int((DEEP << 4).max())) == 16


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_deep_picture_without_a_bit_depth_is_refused(suffix: str) -> None:
    with pytest.raises(BitDepthError, match="no bit depth is known"):
        decode_picture(coded(suffix, DEEP))


def test_value_above_the_bit_depth_is_refused() -> None:
    pixels = np.zeros((24, 32), np.uint16)
    pixels[3, 4] = 1024
    assert decode_picture(coded(".png", pixels - (pixels > 0)), 10).max() == 255
    with pytest.raises(BitDepthError, match="reach 1024, 10 bits end at 1023"):
        decode_picture(coded(".png", pixels), 10)


def test_bit_depth_changes_nothing_in_a_picture_of_8_bits() -> None:
    assert np.array_equal(decode_picture(coded(".png", PIXELS), 12), PIXELS)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("passes", [0, 1])
def test_grey_png_of_few_bits_is_spread_over_8(bits: int, passes: int) -> None:
    rows = PIXELS[..., 0] >> (8 - bits)
    picture = decode_picture(png_file(rows, bits, 0, passes=passes))
    assert np.array_equal(picture[..., 1], rows * (255 // ((1 << bits) - 1)))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("passes", [0, 1])
@pytest.mark.parametrize("has_transparency", [False, True])
def test_palette_png_has_the_colours_of_its_palette(
    bits: int, passes: int, *, has_transparency: bool
) -> None:
    palette = np.random.default_rng(1).integers(0, 256, (1 << bits, 3), dtype=np.uint8)
    rows = PIXELS[..., 0] >> (8 - bits)
    chunks = [png_chunk(b"PLTE", palette.tobytes())]
    chunks += [png_chunk(b"tRNS", b"\x10\x80")] * has_transparency
    picture = decode_picture(png_file(rows, bits, 3, *chunks, passes=passes))
    assert np.array_equal(picture[..., ::-1], palette[rows])


@pytest.mark.parametrize(("bits", "shift"), [(8, 0), (16, 4)])
@pytest.mark.parametrize("passes", [0, 1])
@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_png_of_every_colour_type_is_exact(
    bits: int, shift: int, passes: int, colour_type: int, channels: int
) -> None:
    values = DEEP >> (4 - shift)
    alpha = np.full((24, 32, 1), 7, np.uint16)
    colours = values if colour_type & 2 else values[..., :1]
    rows = np.concatenate([colours, alpha], 2)[..., :channels]
    picture = decode_picture(png_file(rows, bits, colour_type, passes=passes), 12)
    expected = np.broadcast_to(colours >> shift, (24, 32, 3))[..., ::-1]
    assert np.array_equal(picture, expected)


@pytest.mark.parametrize("chunk", [b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"sBIT"])
def test_colour_profile_is_not_applied(chunk: bytes) -> None:
    data = {
        b"iCCP": b"x\0\0" + zlib.compress(b"profile"),
        b"sRGB": b"\0",
        b"gAMA": struct.pack(">I", 100_000),
        b"cHRM": struct.pack(">8I", *[30_000] * 8),
        b"sBIT": b"\5\5\5",
    }[chunk]
    content = png_file(PIXELS[..., ::-1], 8, 2, png_chunk(chunk, data))
    assert np.array_equal(decode_picture(content), PIXELS)


@pytest.mark.parametrize(
    ("bits", "photometric"), [(1, 0), (1, 1), (8, 0), (8, 1), (12, 1), (16, 1)]
)
def test_grey_tiff_is_exact(bits: int, photometric: int) -> None:
    values = DEEP[..., 0] >> max(0, 12 - bits)
    data = values.astype("<u2").tobytes() if bits == 16 else packed(values, bits)
    tags = {BITS: [bits], PHOTOMETRIC: [photometric]}
    picture = decode_picture(tiff_file(data, (32, 24), tags), 12 if bits == 16 else 16)
    largest = 1 if bits == 1 else 255
    expected = (values >> max(0, min(bits, 12) - 8)) * (255 // largest)
    assert np.array_equal(picture[..., 0], expected if photometric else 255 - expected)


def test_palette_tiff_has_the_colours_of_its_palette() -> None:
    palette = np.random.default_rng(1).integers(0, 65536, (3, 256), dtype=np.uint16)
    tags = {BITS: [8], PHOTOMETRIC: [3], 320: palette.ravel().tolist()}
    index = PIXELS[..., 0]
    picture = decode_picture(tiff_file(index.tobytes(), (32, 24), tags))
    assert np.array_equal(picture[..., ::-1], (palette >> 8).T[index])


@pytest.mark.parametrize("opacity", [200, 255])
@pytest.mark.parametrize("kind", [1, 2])
def test_tiff_with_transparent_pixels_is_refused(opacity: int, kind: int) -> None:
    alpha = np.full((24, 32, 1), 255, np.uint8)
    alpha[5, 5] = opacity
    pixels = np.concatenate([PIXELS, alpha], 2)
    tags = {BITS: [8] * 4, PHOTOMETRIC: [2], SAMPLES: [4], EXTRA_SAMPLES: [kind]}
    content = tiff_file(pixels.tobytes(), (32, 24), tags)
    if opacity == 255:
        assert np.array_equal(decode_picture(content)[..., ::-1], PIXELS)
    else:
        with pytest.raises(PictureError, match="transparent pixels"):
            decode_picture(content)


def test_damage_that_only_the_decoder_reports_is_refused() -> None:
    with pytest.raises(PictureError, match="damaged: premature end of data segment"):
        decode_picture(damaged_jpeg())


def test_progressive_jpeg_without_its_last_scans_is_refused() -> None:
    whole = jpeg(128, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert not is_refused(whole)
    assert is_refused(whole[: len(whole) // 2] + b"\xff\xd9")


def test_zeros_before_the_end_of_a_jpeg_are_no_damage() -> None:
    content = jpeg()
    padded = content[:-2] + bytes(7) + content[-2:]
    assert np.array_equal(decode_picture(padded), decode_picture(content))


@pytest.mark.parametrize("size", [(0, 5), (5, 0)])
def test_png_without_a_pixel_is_refused(size: tuple[int, int]) -> None:
    assert is_refused(png_file(np.zeros(size, np.uint8), 8, 0))


def test_nothing_is_printed_about_unusable_pictures(
    capfd: pytest.CaptureFixture[str],
) -> None:
    whole = tiff_file(bytes(24 * 32), (32, 24), {BITS: [8]})
    for content in (whole[:-9], coded(".tif", PIXELS)[:900], coded(".png", DEEP)[:99]):
        assert is_refused(content)
    decode_picture(tiff_file(bytes(24 * 32), (32, 24), {BITS: [8], 65000: [1]}))
    decode_picture(noisy_png())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", [*EXACT, ".jpg", ".jpeg", ".tiff"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_picture_that_is_cut_off_is_refused(suffix: str, share: float) -> None:
    content = coded(suffix, PIXELS, *EXACT.get(suffix, []))
    assert not is_refused(content)
    assert is_refused(content[: int(share * len(content))])


def test_picture_of_32_bits_a_channel_is_refused() -> None:
    assert is_refused(coded(".tif", PIXELS.astype(np.float32)))


def cmyk_jpeg(cyan: int, magenta: int, yellow: int, black: int) -> bytes:
    """Return a JPEG of 8 x 8 equal pixels in Adobe's inverted CMYK.

    Four components of one block each: a DC difference, then the end of the block.
    """
    bits = ""
    for value in (cyan, magenta, yellow, black):
        level = (255 - value) - 128  # quantized by 8, a DC of 8 times the level
        size = abs(level).bit_length()
        bits += f"{size:04b}"  # the code of a size is the size: 12 codes of 4 bits
        if size:
            bits += f"{level if level > 0 else level + (1 << size) - 1:0{size}b}"
        bits += "0"  # the only AC code: end of block
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")

    def segment(marker: int, data: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data

    components = b"".join(bytes([number, 0x11, 0]) for number in range(1, 5))
    scanned = b"".join(bytes([number, 0x00]) for number in range(1, 5))
    dc = bytes([0, 0, 0, 0, 12]) + bytes(12) + bytes(range(12))
    ac = bytes([0x10, 1]) + bytes(15) + b"\0"
    return (
        b"\xff\xd8"
        + segment(0xEE, b"Adobe\0\x64\0\0\0\0\0")
        + segment(0xDB, b"\0" + bytes([8]) * 64)
        + segment(0xC0, b"\x08\0\x08\0\x08\x04" + components)
        + segment(0xC4, dc)
        + segment(0xC4, ac)
        + segment(0xDA, b"\x04" + scanned + b"\0\x3f\0")
        + scan
        + b"\xff\xd9"
    )


@pytest.mark.parametrize(
    ("inks", "bgr"),
    [
        ((0, 0, 0, 0), (255, 255, 255)),
        ((255, 0, 0, 0), (255, 255, 0)),
        ((0, 255, 0, 0), (255, 0, 255)),
        ((0, 0, 255, 0), (0, 255, 255)),
        ((0, 0, 0, 255), (0, 0, 0)),
    ],
)
def test_cmyk_becomes_bgr(
    inks: tuple[int, int, int, int], bgr: tuple[int, int, int]
) -> None:
    picture = decode_picture(cmyk_jpeg(*inks))
    assert np.abs(picture.astype(int) - bgr).max() <= 2


def tiff(orientation: int, pixels: np.ndarray) -> bytes:
    """Return an uncompressed grey TIFF, its directory first, then its pixels."""
    height, width = pixels.shape
    entries = [
        *((256, width), (257, height), (258, 8), (259, 1), (262, 1)),
        *((273, 8 + 2 + 10 * 12 + 4), (274, orientation), (277, 1)),
        *((278, height), (279, width * height)),
    ]
    directory = struct.pack("<H", len(entries))
    for tag, value in entries:
        directory += struct.pack("<HHII", tag, 4, 1, value)
    return b"II*\0\x08\0\0\0" + directory + bytes(4) + pixels.tobytes()


def png_with_exif(orientation: int, pixels: np.ndarray) -> bytes:
    """Return a PNG with an eXIf chunk before its pixels."""
    content = coded(".png", pixels)
    exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"
    exif += struct.pack("<HHI", orientation, 0, 0)
    checked = b"eXIf" + exif
    chunk = (
        struct.pack(">I", len(exif)) + checked + struct.pack(">I", zlib.crc32(checked))
    )
    at = content.index(b"IDAT") - 4
    return content[:at] + chunk + content[at:]


@pytest.mark.parametrize("kind", [png_with_exif, with_thumbnail])
def test_orientation_of_the_camera_is_applied(kind: object) -> None:
    tall = np.zeros((40, 20), np.uint8)
    tall[:, :5] = 255  # the left edge, the upper one after a turn to the right
    if kind is png_with_exif:
        picture = decode_picture(png_with_exif(6, tall))
    else:
        picture = decode_picture(with_thumbnail(coded(".jpg", tall), orientation=6))
    assert picture.shape == (20, 40, 3)
    assert picture[:4].min() > 200
    assert picture[6:].max() < 50


def test_tiff_whose_pixels_are_cut_off_is_refused() -> None:
    content = tiff(1, PIXELS[..., 0])
    whole = decode_picture(content)
    assert np.array_equal(whole[..., 0], PIXELS[..., 0])
    assert is_refused(content[:-100])


def png_header(width: int, height: int) -> bytes:
    start = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", start) + png_chunk(b"IEND", b"")


def gif_bomb(width: int, height: int) -> bytes:
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0)
    return screen + frame + b"\x02\x02\x44\x01\0\x3b"


def bmp_bomb(side: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, side, -side, 1, 8, 1, 6, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 60, 0, 0, 54) + header + b"\0\1\0\1"


def jpeg_bomb(side: int) -> bytes:
    content = bytearray(jpeg())
    at = content.index(b"\xff\xc0")
    content[at + 5 : at + 9] = side.to_bytes(2, "big") * 2
    return bytes(content)


BOMBS = {
    "GIF": gif_bomb(32_000, 32_000),
    "GIF below the most pixels": gif_bomb(19_000, 19_000),
    "PNG": png_header(32_700, 32_700),
    "PNG below the most pixels": png_header(19_000, 19_000),
    "BMP": bmp_bomb(32_000),
    "BMP below the most pixels": bmp_bomb(19_000),
    "JPEG": jpeg_bomb(65_500),
    "TIFF": tiff_file(bytes(64), (30_000, 30_000), {258: [8]}),
    "JPEG 2000": b"\xff\x4f\xff\x51" + struct.pack(">HHII", 41, 0, 50_000, 50_000),
    "AVIF": struct.pack(">I", 24)
    + b"ftypavif\0\0\0\0avifmif1"
    + struct.pack(">I4sIII", 20, b"ispe", 0, 60_000, 60_000),
    "WebP": b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + b"\xff" * 6,
}


@pytest.mark.parametrize("name", BOMBS)
def test_picture_that_would_fill_the_memory_is_refused_before_it_is_decoded(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(PictureError, match=r"the file states \d+ x \d+ pixels"):
        decode_pixels(BOMBS[name])


@pytest.mark.parametrize(
    ("start", "named"),
    [
        (b"P6\n60000 60000\n255\n", "portable bitmap"),
        (b"P1\n60000 60000\n", "portable bitmap"),
        (b"PF\n60000 60000\n-1\n", "portable float map"),
        (b"#?RADIANCE\n", "Radiance"),
        (b"\x59\xa6\x6a\x95" + b"\0\0\xff\xff" * 2, "Sun raster"),
        (b"hello", "not a picture"),
    ],
)
def test_format_whose_size_is_not_read_is_not_decoded(
    start: bytes, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(PictureError, match=named):
        decode_pixels(start)


def test_picture_of_a_camera_with_200_megapixels_is_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoded = np.zeros((1, 1, 3), np.uint8)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: decoded)
    content = png_header(16_384, 12_288) + bytes(50_000)
    assert decode_pixels(content).shape == (1, 1, 3)


def jpeg_of_scans(side: int, count: int) -> bytes:
    """A progressive JPEG that goes through its pixels ``count`` times."""
    picture = np.full((64, 64, 3), 90, np.uint8)
    coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1]
    content = bytearray(coded.tobytes().removesuffix(b"\xff\xd9"))
    at = content.index(b"\xff\xc2")
    content[at + 5 : at + 9] = side.to_bytes(2, "big") * 2
    last = content[content.rindex(b"\xff\xda") :]
    present = content.count(b"\xff\xda")
    padding = bytes(side * side // 8000)  # as many bytes as its size needs
    return bytes(content + last * (count - present)) + padding + b"\xff\xd9"


@pytest.mark.parametrize(("side", "scans"), [(64, 101), (64, 200_000), (19_000, 17)])
def test_jpeg_of_more_scans_than_any_encoder_writes_is_not_decoded(
    side: int, scans: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(PictureError, match="goes through its pixels more than"):
        decode_pixels(jpeg_of_scans(side, scans))


@pytest.mark.parametrize(("side", "scans"), [(64, 100), (19_000, 12)])
def test_jpeg_of_as_many_scans_as_encoders_write_is_decoded(
    side: int, scans: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = np.zeros((1, 1, 3), np.uint8)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: decoded)
    assert decode_pixels(jpeg_of_scans(side, scans)).shape == (1, 1, 3)


def test_pipe_is_no_picture(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(OSError, match="not a regular file"):
        read_picture(tmp_path / "a.png")
