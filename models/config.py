"""The loader of every program's TOML file.

All faults of a file are reported together, each with its key; an unknown key is a
fault, reported with the key that was probably meant.
"""

import dataclasses
import difflib
import errno
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from models.errors import ConfigError
from models.files import read_regular
from models.shown_text import on_one_line, without_login
from models.topics import NAME_PATTERN, NAME_RULE, plain_name

CONFIG_MAX_BYTES = 1 << 20  # a configuration is a page of text


class Settings(BaseModel):
    """Base of every configuration class: immutable, a typo is an error."""

    # An error that nothing below translates must not echo a password.
    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True
    )


AnyValue = TypeVar("AnyValue")
AnySettings = TypeVar("AnySettings", bound=Settings)
# pydantic's two names of an unknown key: in a model, and in a dataclass.
UNKNOWN_KEY = {"extra_forbidden", "unexpected_keyword_argument"}
OWN_RULE = "Value error, "  # what pydantic puts before the text of a validator
WRONG_CHARACTERS = "string_pattern_mismatch"
# Regular expressions that list characters: how many there may be, or levels of them.
CHARACTERS = re.compile(
    r"\^\[(?P<set>[^]\\]+)\]"
    r"(\{(?P<least>\d+),(?P<most>\d+)\}|\+\(/\[(?P=set)\]\+\)\*)\$"
)
PERCENT_MAX = 100


def load_config(path: Path, layout: type[AnySettings]) -> AnySettings:
    """Return the configuration in a TOML file.

    Args:
        path: The file, UTF-8, with or without byte order mark.
        layout: Class of the configuration.

    Raises:
        ConfigError: The file is missing, not TOML, or has faults.
    """
    try:
        content = read_regular(path, CONFIG_MAX_BYTES)
        document = tomllib.loads(content.decode("utf-8-sig"))
    except OSError as exc:
        if exc.errno == errno.EFBIG:
            raise ConfigError(
                f"{path}: larger than {CONFIG_MAX_BYTES} bytes.",
                why="A configuration is a page of text.",
                fix="Give the TOML file.",
            ) from exc
        raise ConfigError(
            f"{path}: cannot be read.",
            why=exc.strerror or str(exc),
            fix="Give the path of an existing TOML file.",
        ) from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(
            f"{path}: not UTF-8 text.", why=str(exc), fix="Save it as UTF-8."
        ) from exc
    except (ValueError, RecursionError) as exc:  # also: an integer of too many digits
        raise ConfigError(
            f"{path}: not TOML.", why=str(exc), fix="Correct that line."
        ) from exc
    if places := list(_places_of_nul(document)):
        raise ConfigError(
            f"{path}: a NUL character in {', '.join(map(without_login, places))}.",
            why="No file name or host name may have one.",
            fix="Remove it.",
        )
    return parse_config(document, layout, str(path))


def parse_config(
    document: dict[str, Any], layout: type[AnySettings], name: str
) -> AnySettings:
    """Return the configuration in a parsed document.

    Args:
        layout: Class of the configuration.
        name: Source of the document, for messages.

    Raises:
        ConfigError: The document has faults.
    """
    try:
        return layout.model_validate(document)
    except ValidationError as exc:
        errors = _without_consequences(exc.errors())
        count = len(errors)
        raise ConfigError(
            f"{name}: {count} fault{'s' * (count > 1)}.",
            why=faults_in_words(exc, layout),
            fix="Correct the file; --print-config shows the resulting values.",
        ) from None  # pydantic's own text has the keys and values as they are


def faults_in_words(
    error: ValidationError, layout: type[BaseModel], *, shows_values: bool = True
) -> str:
    """Return the faults of values in plain words, as one text.

    Args:
        layout: What the values were checked against.
        shows_values: False where one may be a secret.
    """
    errors = _without_consequences(error.errors(include_input=shows_values))
    return "; ".join(_sentences(errors, layout)).rstrip(".") + "."


def _places_of_nul(value: object, place: str = "") -> Iterator[str]:
    """Yield the keys of texts with NUL: ``open()`` raises ValueError for them."""
    if isinstance(value, str) and "\0" in value:
        yield place
    inner: Iterable[tuple[object, object]] = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for key, each in inner:
        yield from _places_of_nul(each, f"{place}.{key}".lstrip("."))


def _without_consequences(errors: Sequence[Any]) -> list[Any]:
    """Return the faults without those that follow from another one.

    An item that is refused is missing in its list: pydantic then also reports the list
    as too short.
    """
    places = [error["loc"] for error in errors]
    return [
        error
        for error in errors
        if error["type"] != "too_short"
        or not any(
            len(place) > len(error["loc"])
            and place[: len(error["loc"])] == error["loc"]
            for place in places
        )
    ]


def _sentences(errors: Sequence[Any], layout: type[BaseModel]) -> Iterator[str]:
    """Yield a sentence for each fault; values that break one rule share it."""
    by_rule: dict[str, list[Any]] = {}
    for error in errors:
        if error["type"] == WRONG_CHARACTERS:
            by_rule.setdefault(error["ctx"]["pattern"], []).append(error)
    for error in errors:
        if error["type"] != WRONG_CHARACTERS:
            yield _sentence(error, layout)
        elif alike := by_rule.pop(error["ctx"]["pattern"], []):
            yield _characters_sentence(alike)


def _characters_sentence(errors: Sequence[Any]) -> str:
    """Return which texts have characters that are not allowed, and the rule, once."""
    pattern = errors[0]["ctx"]["pattern"]
    inputs = [error["input"] for error in errors if "input" in error]
    places = [_place_of(error) for error in errors]
    if inputs:
        places = [
            f"{place} = {_shown(text)!r}"
            for place, text in zip(places, inputs, strict=True)
        ]
    text = f"{', '.join(places)}: expected {characters_rule(pattern)}"
    examples = dict.fromkeys(
        plain_name(text) for text in inputs if text == _shown(text)
    )
    shown = ", ".join(repr(example) for example in examples if example)
    return f"{text}, for example {shown}" if shown and pattern == NAME_PATTERN else text


def characters_rule(pattern: str) -> str:
    """Return the rule of a regular expression for names in words.

    >>> characters_rule("^[A-Za-z_]{0,64}$")
    "0 to 64 of A-Z, a-z and '_'"
    """
    if pattern == NAME_PATTERN:
        return NAME_RULE
    parts = CHARACTERS.fullmatch(pattern)
    if parts is None:
        return f"a text that matches {pattern}"
    ranges = re.findall(r".-.|.", parts["set"])
    names = [each if len(each) > 1 else repr(each) for each in ranges]
    listed = " and ".join([", ".join(names[:-1]), names[-1]]) if names[1:] else names[0]
    if parts["least"] is None:
        return f"{listed}, in levels that are joined by '/'"
    return f"{parts['least']} to {parts['most']} of {listed}"


def _sentence(error: Any, layout: type[BaseModel]) -> str:  # noqa: ANN401 (pydantic's)
    place = _place_of(error)
    if error["type"] not in UNKNOWN_KEY:
        got, text = error.get("input"), error["msg"].removeprefix(OWN_RULE)
        shown = f", got {_shown(got)!r}" if isinstance(got, str | int | float) else ""
        if repr(got) in text:  # a rule of ours that names the value
            shown = ""
        named = f"{place}: " if place else ""  # a rule of the whole has no place
        return f"{named}{text}{shown}{_unit_hint(error)}"
    known = _known_keys(error["loc"][:-1], layout)
    meant = difflib.get_close_matches(str(error["loc"][-1]), known, 1)
    hint = f", did you mean {meant[0]}?" if meant else f"; known: {', '.join(known)}"
    return f"{place}: unknown key{hint}"


def _place_of(error: Any) -> str:  # noqa: ANN401 (pydantic's)
    return ".".join(on_one_line(str(_shown(str(step)))) for step in error["loc"])


def _shown(value: AnyValue) -> AnyValue | str:
    """Return a value of the file for a message: a text without a login."""
    return without_login(value) if isinstance(value, str) else value


def _unit_hint(error: Any) -> str:  # noqa: ANN401 (pydantic's)
    """Return what a number outside of its bounds is in the unit of its key."""
    got, key = error.get("input"), str(error["loc"][-1] if error["loc"] else "")
    if not isinstance(got, int | float):
        return ""
    limits = error.get("ctx", {})
    if limits.get("le") == 1 and 1 < got <= PERCENT_MAX:
        return f" (a share: {got:g} % is {got / 100:g})"
    if key.endswith("_ms") and 0 < got < limits.get("ge", 0):
        return f" (in milliseconds: {got:g} s is {got * 1000:g})"
    if key.endswith("_s") and got > limits.get("le", got):
        return f" (in seconds: {got:g} ms is {got / 1000:g})"
    return ""


def _known_keys(steps: tuple[Any, ...], layout: type[Any]) -> list[str]:
    here: type[Any] | None = layout
    for step in steps:
        # A number is an index in a list; a name that is not a field is a key of a
        # table, or the tag of a union.
        fields = _fields_of(here)
        if step in fields:
            here = _layout_inside(fields[step])
    return sorted(_fields_of(here))


def _fields_of(layout: type[Any] | None) -> dict[str, Any]:
    """Return the annotation of each field of a model or dataclass."""
    if layout is None:
        return {}
    if dataclasses.is_dataclass(layout):
        return {field.name: field.type for field in dataclasses.fields(layout)}
    return {name: field.annotation for name, field in layout.model_fields.items()}


def _layout_inside(annotation: Any) -> type[Any] | None:  # noqa: ANN401 (a type)
    """Return the model or dataclass in an annotation such as ``tuple[Camera, ...]``."""
    if isinstance(annotation, type) and (
        issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)
    ):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _layout_inside(inner)
        if found:
            return found
    return None
