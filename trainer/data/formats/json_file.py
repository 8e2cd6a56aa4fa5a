"""JSON files of a dataset, each read once, with the reason where that fails."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class JsonFile:
    """One JSON file."""

    path: Path
    content: object  # the document; None where it could not be read
    fault: str = ""  # why it could not be read; empty if it could
    is_readable: bool = True  # the fault is in the content, not in the file system


def read_json(path: Path) -> JsonFile:
    """Return a JSON file, UTF-8, UTF-16 or UTF-32, with or without byte order mark."""
    try:
        return JsonFile(path, json.loads(path.read_bytes()))
    except OSError as exc:
        fault = f"It cannot be read: {exc.strerror}."
        return JsonFile(path, None, fault, is_readable=False)
    except RecursionError:
        return JsonFile(path, None, "Its lists are nested too deep.")
    except ValueError as exc:
        return JsonFile(path, None, f"It is not JSON: {exc}.")
