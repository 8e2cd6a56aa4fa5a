"""XML files with the line of every element, and nothing that could harm.

A document type is refused before anything in it is used: no label file needs one, and
entities that grow without end, or bring in other files, come from there.
Source: "XML Entity Expansion" and "External Entity", CWE-776 and CWE-611.
"""

from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from models.errors import DatasetError

HEAD_BYTES = 4096  # enough to see the first element
DEEPEST = 64  # elements in each other; label files need seven


class _EnoughError(Exception):
    """The first element was seen."""


class _RefusedError(Exception):
    """The file holds what no label file needs."""


@dataclass(slots=True)
class Element:
    """One element.

    Attributes:
        tag: Its name.
        attributes: Name to value.
        line: Where it begins, from 1.
        text: What stands directly in it, without space around.
        children: In the order of the file.
    """

    tag: str
    attributes: dict[str, str]
    line: int
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    def all(self, tag: str) -> list["Element"]:
        """Return the children of a name.

        Args:
            tag: The name.
        """
        return [child for child in self.children if child.tag == tag]

    def words(self, *path: str) -> str:
        """Return the text of the first element on a path; empty where none is.

        Args:
            path: Names, from here downwards.
        """
        place = self
        for tag in path:
            found = place.all(tag)
            if not found:
                return ""
            place = found[0]
        return place.text


def first_tag(path: Path) -> str | None:
    """Return the name of a file's first element; None where it is no XML.

    Args:
        path: A readable file.

    Raises:
        OSError: It is not readable.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    seen: list[str] = []
    parser = expat.ParserCreate()

    def begin(tag: str, _: dict[str, str]) -> None:
        seen.append(tag)
        raise _EnoughError

    parser.StartElementHandler = begin
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(head, False)  # noqa: FBT003 (expat takes it by place only)
    except (expat.ExpatError, ValueError, LookupError, _RefusedError):
        return None
    except _EnoughError:
        return seen[0]
    return None


def read_xml(path: Path) -> Element:
    """Return the first element of a file, with all that is in it.

    Args:
        path: UTF-8, UTF-16 or what its first line says.

    Raises:
        DatasetError: No XML, cut off, too deep, or with a document type.
        OSError: It is not readable.
    """
    builder = _Builder()
    try:
        builder.parser.Parse(path.read_bytes(), True)  # noqa: FBT003 (as above)
    except expat.ExpatError as exc:
        raise _not_read(
            path, f"Line {exc.lineno}: {expat.ErrorString(exc.code)}."
        ) from exc
    except (ValueError, LookupError) as exc:  # an encoding that nobody knows
        raise _not_read(path, f"{exc}.") from exc
    except _RefusedError as exc:
        why = f"Line {builder.parser.CurrentLineNumber}: {exc}"
        raise _not_read(path, why) from exc
    return builder.top


def _not_read(path: Path, why: str) -> DatasetError:
    """Return the error of an XML file that is not read."""
    fix = "Export the labels again."
    return DatasetError(f"{path}: not an XML of labels.", why=why, fix=fix)


def _refuse(*_: object) -> None:
    """Stop at a document type."""
    raise _RefusedError("a document type; entities are not read.")


class _Builder:
    """Makes elements of what expat tells."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._begin
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = _refuse
        self._open: list[Element] = []
        self.top = Element("", {}, 0)

    def _begin(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._open) >= DEEPEST:
            raise _RefusedError(f"more than {DEEPEST} elements in each other.")
        element = Element(tag, attributes, self.parser.CurrentLineNumber)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.top = element
        self._open.append(element)

    def _end(self, _: str) -> None:
        element = self._open.pop()
        element.text = element.text.strip()

    def _text(self, text: str) -> None:
        self._open[-1].text += text
