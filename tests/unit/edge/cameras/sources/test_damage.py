import pytest

from edge.cameras.sources.damage import (
    KEY_FRAME_LIMIT_S,
    DamageRules,
    has_damage,
    new_sizes,
)

LOST = "[OPENCV:FFMPEG:24] RTP: missed 1 packets\n"
KEY = "[OPENCV:FFMPEG:48] nal_unit_type: 5(IDR), nal_ref_idc: 3\n"
OTHER = "[OPENCV:FFMPEG:48] nal_unit_type: 1(Coded slice), nal_ref_idc: 2\n"


def play(rules: DamageRules, frames: list[tuple[str, str]]) -> list[bool]:
    """Return which frames, given as type and log, are damaged."""
    return [rules.update(log, kind, 0) for kind, log in frames]


def sound(period: int, times: int = 1) -> list[tuple[str, str]]:
    """Return undamaged frames with a key frame in each period."""
    return [("I", KEY), *[("P", OTHER)] * (period - 1)] * times


def test_frames_after_a_lost_packet_are_damaged_until_a_key_frame() -> None:
    rules = DamageRules(is_intra=False, _key_frame_s=0)
    assert not any(play(rules, sound(5, 2)))
    frames = [("P", LOST), *[("P", OTHER)] * 3, *sound(5)]
    assert play(rules, frames) == [True] * 4 + [False] * 5


def test_key_frame_that_was_read_with_the_damage_does_not_end_it() -> None:
    rules = DamageRules(is_intra=False, _key_frame_s=0)
    play(rules, sound(5, 2))
    assert all(play(rules, [("I", KEY + LOST), *[("P", OTHER)] * 4]))
    assert all(play(rules, [("P", LOST), ("I", KEY), *[("P", OTHER)] * 4]))
    assert not any(play(rules, sound(5)))


def test_decoder_that_reorders_returns_damage_later() -> None:
    """Two frames lie between the decoding of a key frame and its return."""
    rules = DamageRules(is_intra=False, _key_frame_s=0)
    late = [("B", KEY), ("P", OTHER), ("I", OTHER), *[("B", OTHER)] * 5]
    play(rules, late * 2)
    frames = [("B", KEY), ("P", LOST), ("I", OTHER), ("B", OTHER)]
    assert play(rules, frames) == [False, True, True, True]
    play(rules, [("B", OTHER)] * 4)
    assert play(rules, late) == [True, True, *[False] * 6]


def test_damage_while_a_stream_is_opened_is_damage_of_its_first_frames() -> None:
    rules = DamageRules(is_intra=False, _key_frame_s=0)
    rules.note_opening(LOST, 3)
    assert play(rules, sound(12, 2)) == [True] * 12 + [False] * 12


def test_damage_of_a_jpeg_is_that_of_one_frame() -> None:
    rules = DamageRules(is_intra=True, _key_frame_s=0)
    log = "[OPENCV:FFMPEG:16] error y=4 x=0\n"
    assert play(rules, [("I", ""), ("I", log), ("I", "")]) == [False, True, False]


def test_packets_without_a_frame_are_damage() -> None:
    rules = DamageRules(is_intra=False, _key_frame_s=0)
    assert not rules.note_undecoded("")
    assert rules.note_undecoded("[OPENCV:FFMPEG:16] Could not find ref with POC 7\n")
    assert rules.update(OTHER, "P", 0)


def test_damage_without_a_key_frame_ends_after_its_limit() -> None:
    rules = DamageRules(is_intra=False, _key_frame_s=0)
    assert not rules.waits_too_long(KEY_FRAME_LIMIT_S + 1)
    rules.update(LOST, "P", 1)
    assert not rules.waits_too_long(KEY_FRAME_LIMIT_S)
    assert rules.waits_too_long(KEY_FRAME_LIMIT_S + 1)


@pytest.mark.parametrize(
    "line",
    [
        "Corrupt JPEG data: 2 extraneous bytes before marker 0xd9",
        "[OPENCV:FFMPEG:24] deprecated pixel format used, make sure you did set range",
        "[OPENCV:FFMPEG:16] SEI type 5 size 1208 truncated at 1160",
        "[OPENCV:FFMPEG:24] max delay reached. need to consume packet",
        "[OPENCV:FFMPEG:48] Reinit context to 320x192, pix_fmt: yuv420p",
    ],
    ids=["padding", "format", "sei", "delay", "start"],
)
def test_message_that_sound_streams_cause_is_no_damage(line: str) -> None:
    assert not has_damage(line)


def test_new_sizes_are_those_of_the_log() -> None:
    log = "[OPENCV:FFMPEG:48] sof0: picture: 640x480\n"
    log += "[OPENCV:FFMPEG:48] Format yuv420p chosen by get_format().\n"
    assert new_sizes(log) == [(640, 480), None]
    assert new_sizes(OTHER) == []
