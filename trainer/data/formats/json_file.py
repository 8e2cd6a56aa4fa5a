"""JSON files of a dataset, each read once, whatever they hold."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class JsonFile:
    """One JSON file.

    Attributes:
        path: Where it lies.
        content: What it holds; None where it could not be read.
        fault: Why it could not be read; empty if it could.
    """

    path: Path
    content: object
    fault: str = ""


def read_json(path: Path) -> JsonFile:
    """Return a JSON file, UTF-8 or UTF-16, with or without a mark before it.

    Args:
        path: The file.
    """
    try:
        return JsonFile(path, json.loads(path.read_bytes()))
    except OSError as exc:
        return JsonFile(path, None, f"It cannot be read: {exc.strerror}.")
    except RecursionError:
        return JsonFile(path, None, "Lists in lists in lists, without end.")
    except ValueError as exc:
        return JsonFile(path, None, f"It is not JSON: {exc}.")
