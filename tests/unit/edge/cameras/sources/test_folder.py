import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras.frame_buffer import (
    TEXT_MAX_BYTES,
    FrameBuffer,
    FrameBufferReader,
    HeaderField,
)
from edge.cameras.frame_publisher import CapturePlan, FramePublisher
from edge.cameras.sources.folder import NO_DEPTH, read_pixels, run_folder
from edge.cameras.sources.picture_list import list_pictures, natural_key
from models.errors import CameraError
from tests.simulators.picture_files import jpeg, with_thumbnail
from tests.simulators.plans import plan_of


def picture(value: int = 100) -> np.ndarray:
    noise = np.random.default_rng(value).integers(0, 40, (40, 50, 3))
    return (noise + value).clip(0, 255).astype(np.uint8)


def write(path: Path, value: int = 100) -> bytes:
    assert cv2.imwrite(str(path), picture(value))
    return path.read_bytes()


def test_pictures_are_read_in_natural_order() -> None:
    names = ["b-1.png", "a-10.jpg", "a-9.jpg", "a-2.jpg", "10.jpg", "9.jpg", "a.jpg"]
    ordered = [p.name for p in sorted(map(Path, names), key=natural_key)]
    assert ordered == [
        *("9.jpg", "10.jpg"),
        *("a-2.jpg", "a-9.jpg", "a-10.jpg", "a.jpg", "b-1.png"),
    ]


def test_files_that_are_no_pictures_are_ignored(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "notes.txt", ".hidden", "x.json"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    assert [p.name for p in list_pictures(tmp_path)] == ["a.png", "b.JPG"]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif", ".webp"])
def test_picture_is_read(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"a{suffix}")
    pixels = read_pixels(tmp_path / f"a{suffix}")
    assert isinstance(pixels, np.ndarray)
    assert pixels.shape == (40, 50, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.95])
def test_truncated_picture_is_a_fault(
    tmp_path: Path, suffix: str, share: float
) -> None:
    content = write(tmp_path / f"a{suffix}")
    path = tmp_path / f"b{suffix}"
    path.write_bytes(content[: int(len(content) * share)])
    assert isinstance(read_pixels(path), str)


def test_jpeg_without_its_end_marker_is_a_fault(tmp_path: Path) -> None:
    content = write(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(content[:-2])
    assert read_pixels(tmp_path / "b.jpg") == "the JPEG is cut off"


def test_jpeg_cut_off_after_its_thumbnail_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(with_thumbnail(jpeg())[:-2])
    assert read_pixels(tmp_path / "a.jpg") == "the JPEG is cut off"


def test_text_file_with_the_suffix_of_a_picture_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("hello")
    assert isinstance(read_pixels(tmp_path / "a.jpg"), str)


def test_grey_picture_becomes_three_colours(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "a.png"), picture()[:, :, 0])
    pixels = read_pixels(tmp_path / "a.png")
    assert isinstance(pixels, np.ndarray)
    assert pixels.shape == (40, 50, 3)


def run_through(plan: CapturePlan) -> list[tuple[int, str | None, bool, str]]:
    """Return number, part, has pixels and fault of each frame that a reader takes."""
    frame_buffer = FrameBuffer.create()
    frame_buffer.header[HeaderField.ENABLED] = 1
    reader, got = FrameBufferReader(frame_buffer), []
    writer = threading.Thread(
        target=run_folder, args=(plan, FramePublisher(frame_buffer))
    )
    writer.start()
    while writer.is_alive() or reader.has_frame:
        if (taken := reader.take_frame()) is not None:
            stamp = taken.stamp
            has_pixels = taken.pixels is not None
            got.append((stamp.frame_id, stamp.part_id, has_pixels, taken.fault))
    writer.join(5)
    frame_buffer.close()
    return got


def test_every_picture_is_published_once_and_in_order(tmp_path: Path) -> None:
    for number in range(30):
        write(tmp_path / f"part-{number}.jpg", number)
    got = run_through(plan_of(f"folder:{tmp_path}"))
    assert got == [(n, f"part-{n}", True, "") for n in range(30)]


def test_broken_picture_is_a_fault_and_the_next_follows(tmp_path: Path) -> None:
    write(tmp_path / "1.jpg")
    (tmp_path / "2.jpg").write_bytes(write(tmp_path / "2.jpg")[:200])
    write(tmp_path / "3.jpg")
    got = run_through(plan_of(f"folder:{tmp_path}"))
    assert [(part, has_pixels) for _, part, has_pixels, _ in got] == [
        ("1", True),
        ("2", False),
        ("3", True),
    ]
    assert got[1][3] == "2.jpg: the JPEG is cut off"


def test_restart_continues_behind_the_delivered_pictures(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path / f"{number}.jpg")
    got = run_through(plan_of(f"folder:{tmp_path}", first_frame_id=3))
    assert [frame_id for frame_id, *_ in got] == [3, 4]


def test_picture_that_killed_the_process_is_not_read_again(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"{number}.jpg")
    got = run_through(plan_of(f"folder:{tmp_path}", poisoned_frame_id=1))
    assert [has_pixels for _, _, has_pixels, _ in got] == [True, False, True]


def test_pace_is_kept(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path / f"{number}.jpg")
    frame_buffer = FrameBuffer.create()
    frame_buffer.header[HeaderField.ENABLED] = 1
    reader, stamps = FrameBufferReader(frame_buffer), []
    plan = plan_of(f"folder:{tmp_path}", fps=50)
    writer = threading.Thread(
        target=run_folder, args=(plan, FramePublisher(frame_buffer))
    )
    writer.start()
    while writer.is_alive() or reader.has_frame:
        if (taken := reader.take_frame()) is not None:
            stamps.append(taken.stamp.captured_ns)
    writer.join(5)
    frame_buffer.close()
    assert stamps[-1] - stamps[0] >= 4 * 19_500_000


@pytest.mark.parametrize("name", ["nowhere", "empty", "file.txt"])
def test_folder_without_pictures_is_a_camera_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("x")
    frame_buffer = FrameBuffer.create()
    with pytest.raises(CameraError) as caught:
        run_folder(plan_of(f"folder:{tmp_path / name}"), FramePublisher(frame_buffer))
    frame_buffer.close()
    assert str(tmp_path / name) in caught.value.what
    assert caught.value.why
    assert caught.value.fix


def write_deep(path: Path) -> np.ndarray:
    """Write a picture of 12 bits in 16; return it with 8 bits."""
    pixels = picture()
    assert cv2.imwrite(str(path), pixels.astype(np.uint16) << 4)
    return pixels


def test_deep_picture_is_read_with_the_bit_depth_of_the_package(tmp_path: Path) -> None:
    expected = write_deep(tmp_path / "a.png")
    assert np.array_equal(read_pixels(tmp_path / "a.png", 12), expected)


def test_deep_picture_is_refused_where_the_package_states_no_bit_depth(
    tmp_path: Path,
) -> None:
    write_deep(tmp_path / "a.png")
    assert read_pixels(tmp_path / "a.png") == NO_DEPTH
    assert "package states no bit depth" in NO_DEPTH
    assert len(f"{'x' * 60}.png: {NO_DEPTH}") < TEXT_MAX_BYTES


def test_value_above_the_bit_depth_of_the_package_is_a_fault(tmp_path: Path) -> None:
    write_deep(tmp_path / "a.png")
    fault = read_pixels(tmp_path / "a.png", 10)
    assert isinstance(fault, str)
    assert "10 bits end at 1023" in fault


def test_folder_is_read_with_the_bit_depth_in_the_frame_buffer(tmp_path: Path) -> None:
    """Also the picture that was decoded before a new model came."""
    expected = [write_deep(tmp_path / f"{number}.png") for number in range(3)]
    frame_buffer = FrameBuffer.create()
    frame_buffer.header[HeaderField.ENABLED] = 1
    reader, got = FrameBufferReader(frame_buffer), list[np.ndarray | str]()
    plan = plan_of(f"folder:{tmp_path}")
    writer = threading.Thread(
        target=run_folder, args=(plan, FramePublisher(frame_buffer))
    )
    writer.start()
    while writer.is_alive() or reader.has_frame:
        if (taken := reader.take_frame()) is not None:
            got.append(taken.fault if taken.pixels is None else taken.pixels.copy())
            frame_buffer.header[HeaderField.BIT_DEPTH] = 12  # before it is released
        reader.release()
    writer.join()
    assert len(got) == 3
    assert NO_DEPTH in str(got[0])
    assert np.array_equal(got[2], expected[2])


def test_pictures_in_formats_that_are_not_read_are_a_warning(tmp_path: Path) -> None:
    write(tmp_path / "a.png")
    for name in ("b.heic", "c.GIF"):
        (tmp_path / name).write_bytes(b"x")
    frame_buffer = FrameBuffer.create()
    frame_buffer.header[HeaderField.ENABLED] = 1
    writer = threading.Thread(
        target=run_folder,
        args=(plan_of(f"folder:{tmp_path}"), FramePublisher(frame_buffer)),
    )
    writer.start()
    reader = FrameBufferReader(frame_buffer)
    while writer.is_alive():
        reader.take_frame()
        reader.release()
    sentence = "2 pictures in a format that is not read, the first b.heic"
    assert frame_buffer.reason == sentence


def test_folder_of_formats_that_are_not_read_is_refused_with_their_name(
    tmp_path: Path,
) -> None:
    (tmp_path / "b.heic").write_bytes(b"x")
    frame_buffer = FrameBuffer.create()
    with pytest.raises(CameraError, match="no picture") as caught:
        run_folder(plan_of(f"folder:{tmp_path}"), FramePublisher(frame_buffer))
    assert "the first b.heic" in caught.value.why
