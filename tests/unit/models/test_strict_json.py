import pytest

from models.strict_json import parse_json


def test_document_is_read_as_json_loads_does() -> None:
    text = '{"a": {"b": [1, -2.5e3, true, null, "\\u00e4"]}, "b": {}}'
    read = {"a": {"b": [1, -2500.0, True, None, "ä"]}, "b": {}}
    assert parse_json(text) == parse_json(text.encode()) == read


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"a": 1, "b": 2, "a": 1}', "the name 'a' is there twice"),
        ('[{"a": {"b": 1, "b": 2}}]', "the name 'b' is there twice"),
        ('{"a": 1, "\\u0061": 2}', "the name 'a' is there twice"),
        ("[NaN]", "NaN is not a finite number"),
        ("[Infinity]", "Infinity is not a finite number"),
        ("[-Infinity]", "-Infinity is not a finite number"),
        ("[1e999]", "1e999 is not a finite number"),
        ("[" * 100_000, "nested too deep"),
        ("{", "Expecting property name"),
        ("", "Expecting value"),
        ("{} {}", "Extra data"),
    ],
    ids=[
        *("twice", "twice inside", "twice by escape", "nan", "infinity", "minus"),
        *("overflow", "deep", "cut", "empty", "two documents"),
    ],
)
def test_document_that_python_would_read_in_silence_is_refused(
    text: str, fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        parse_json(text)
