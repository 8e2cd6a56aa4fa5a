"""XML files with the line of every element, and nothing that could do harm.

A document type is refused before anything in it is used: no label file needs one, and
entities that expand to gigabytes, or include other files, are declared there.
Source: "XML Entity Expansion" and "External Entity", CWE-776 and CWE-611.
"""

from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from models.errors import DatasetError
from models.files import read_regular, read_start
from trainer.data.formats.limits import PHOTO_LABELS_MAX_BYTES, XML_MAX_ELEMENTS

HEAD_BYTES = 4096  # enough for the first element
DEEPEST_ELEMENT = 64  # elements in each other; label files need seven


class _EnoughError(Exception):
    """The first element was read; stops the parser."""


class _RefusedError(Exception):
    """The file holds what no label file needs."""


@dataclass(slots=True)
class Element:
    """One element."""

    tag: str
    attributes: dict[str, str]
    line: int  # where it starts, from 1
    text: str = ""  # directly in it, without space around
    children: list["Element"] = field(default_factory=list)  # in the order of the file

    def find_all(self, tag: str) -> list["Element"]:
        """Return the direct children with a tag."""
        return [child for child in self.children if child.tag == tag]

    def text_at(self, *path: str) -> str:
        """Return the text of the first element on a path of tags; empty without one."""
        place = self
        for tag in path:
            found = place.find_all(tag)
            if not found:
                return ""
            place = found[0]
        return place.text


def root_tag(path: Path) -> str | None:
    """Return the tag of a file's first element; None where it is not XML.

    Raises:
        OSError: It is not readable.
    """
    head = read_start(path, HEAD_BYTES)
    tags: list[str] = []
    parser = expat.ParserCreate()

    def start(tag: str, _: dict[str, str]) -> None:
        tags.append(tag)
        raise _EnoughError

    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(head, False)  # noqa: FBT003 (expat takes it by place only)
    except (expat.ExpatError, ValueError, LookupError, _RefusedError):
        return None
    except _EnoughError:
        return tags[0]
    return None


def read_xml(path: Path, max_bytes: int = PHOTO_LABELS_MAX_BYTES) -> Element:
    """Return the first element of a file, with all that is in it.

    Args:
        path: UTF-8, UTF-16 or the encoding that its first line names.
        max_bytes: Nothing is returned of a larger file.

    Raises:
        DatasetError: Not XML, cut off, too deep, with a document type, or with more
            elements than any export has.
        OSError: It is not readable, or larger.
    """
    builder = _TreeBuilder()
    try:
        builder.parser.Parse(read_regular(path, max_bytes), True)  # noqa: FBT003 (as above)
    except expat.ExpatError as exc:
        raise _not_read(
            path, f"Line {exc.lineno}: {expat.ErrorString(exc.code)}."
        ) from exc
    except (ValueError, LookupError) as exc:  # an encoding that Python does not have
        raise _not_read(path, f"{exc}.") from exc
    except _RefusedError as exc:
        why = f"Line {builder.parser.CurrentLineNumber}: {exc}"
        raise _not_read(path, why) from exc
    return builder.top


def _not_read(path: Path, why: str) -> DatasetError:
    fix = "Export the labels again."
    return DatasetError(f"{path}: not an XML of labels.", why=why, fix=fix)


def _refuse(*_: object) -> None:
    raise _RefusedError("a document type; entities are not read.")


class _TreeBuilder:
    """Makes elements of expat's events."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._add_text
        self.parser.StartDoctypeDeclHandler = _refuse
        self._open: list[Element] = []
        self._count = 0
        self.top = Element("", {}, 0)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._open) >= DEEPEST_ELEMENT:
            raise _RefusedError(f"more than {DEEPEST_ELEMENT} elements in each other.")
        self._count += 1
        if self._count > XML_MAX_ELEMENTS:
            raise _RefusedError(f"more than {XML_MAX_ELEMENTS:,} elements.")
        element = Element(tag, attributes, self.parser.CurrentLineNumber)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.top = element
        self._open.append(element)

    def _end(self, _: str) -> None:
        element = self._open.pop()
        element.text = element.text.strip()

    def _add_text(self, text: str) -> None:
        self._open[-1].text += text
