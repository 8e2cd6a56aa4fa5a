"""The loader of every program's TOML file.

All faults of a file are reported together, each with its key; an unknown key is a
fault, reported with the key that was probably meant.
"""

import dataclasses
import difflib
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from models.errors import ConfigError

CONFIG_MAX_BYTES = 1 << 20  # a configuration is a page of text


class Settings(BaseModel):
    """Base of every configuration class: immutable, a typo is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


AnySettings = TypeVar("AnySettings", bound=Settings)
# pydantic's two names of an unknown key: in a model, and in a dataclass.
UNKNOWN_KEY = {"extra_forbidden", "unexpected_keyword_argument"}


def load_config(path: Path, layout: type[AnySettings]) -> AnySettings:
    """Return the configuration in a TOML file.

    Args:
        path: The file, UTF-8, with or without byte order mark.
        layout: Class of the configuration.

    Raises:
        ConfigError: The file is missing, not TOML, or has faults.
    """
    try:
        if path.stat().st_size > CONFIG_MAX_BYTES:
            raise ConfigError(
                f"{path}: larger than {CONFIG_MAX_BYTES} bytes.",
                why="A configuration is a page of text.",
                fix="Give the TOML file.",
            )
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as exc:
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
            f"{path}: a NUL character in {', '.join(places)}.",
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
        faults = [_sentence(error, layout) for error in exc.errors()]
        raise ConfigError(
            f"{name}: {len(faults)} fault{'s' * (len(faults) > 1)}.",
            why="; ".join(faults) + ".",
            fix="Correct the file; --print-config shows the resulting values.",
        ) from exc


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


def _sentence(error: Any, layout: type[BaseModel]) -> str:  # noqa: ANN401 (pydantic's)
    place = ".".join(str(step) for step in error["loc"])
    if error["type"] not in UNKNOWN_KEY:
        got = error.get("input")
        shown = f", got {got!r}" if isinstance(got, str | int | float) else ""
        return f"{place}: {error['msg']}{shown}"
    known = _known_keys(error["loc"][:-1], layout)
    meant = difflib.get_close_matches(str(error["loc"][-1]), known, 1)
    hint = f", did you mean {meant[0]}?" if meant else f"; known: {', '.join(known)}"
    return f"{place}: unknown key{hint}"


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
