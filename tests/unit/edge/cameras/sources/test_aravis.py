from edge.cameras.sources.aravis import gap_between, to_bgr


def test_red_of_each_raw_format_is_red() -> None:
    red_at = {
        0x01080009: (0, 0),  # BayerRG8
        0x01080008: (0, 1),  # BayerGR8
        0x0108000A: (1, 0),  # BayerGB8
        0x0108000B: (1, 1),  # BayerBG8
    }
    for pixel_format, (row, column) in red_at.items():
        raw = bytearray(64)
        for y in range(row, 8, 2):
            for x in range(column, 8, 2):
                raw[y * 8 + x] = 200
        picture = to_bgr(bytes(raw), 8, 8, pixel_format)
        assert picture is not None
        assert picture[3:5, 3:5].mean(axis=(0, 1)).tolist() == [0, 0, 200]
    for pixel_format, raw_pixel in (
        (0x02180014, (200, 0, 0)),
        (0x02180015, (0, 0, 200)),
    ):
        picture = to_bgr(bytes(raw_pixel), 1, 1, pixel_format)
        assert picture is not None
        assert picture[0, 0].tolist() == [0, 0, 200]


def test_buffer_with_too_few_bytes_or_of_an_unknown_format_has_no_picture() -> None:
    assert to_bgr(bytes(63), 8, 8, 0x01080001) is None
    assert to_bgr(bytes(64), 8, 8, 0x01100003) is None


def test_gaps_are_counted_across_the_wrap_of_the_numbers() -> None:
    assert gap_between(-1, 500) == 0
    assert gap_between(65534, 2) == 2  # 65535 and 1; there is no 0
    assert gap_between(70_000, 70_003) == 2
    assert gap_between(500, 1) == 0  # the camera restarted its numbers
