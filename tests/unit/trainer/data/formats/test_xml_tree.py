"""XML elements know their line; document types and deep nesting are refused."""

from pathlib import Path

import pytest

from models.errors import DatasetError
from trainer.data.formats.xml_tree import DEEPEST_ELEMENT, read_xml, root_tag

TEXT = """<?xml version="1.0"?>
<!-- exported -->
<top version="2">
  <a><b> deep </b></a>
  <a x="&lt;1"/>
</top>
"""


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_elements_have_attributes_text_and_line(tmp_path: Path) -> None:
    top = read_xml(written(tmp_path / "a.xml", TEXT))
    assert (top.tag, top.attributes, top.line) == ("top", {"version": "2"}, 3)
    first, second = top.find_all("a")
    assert (first.line, second.line) == (4, 5)
    assert second.attributes == {"x": "<1"}
    assert top.text_at("a", "b") == "deep"
    assert top.text_at("a", "c") == ""
    assert top.find_all("b") == []


def test_root_tag_needs_only_the_start_of_a_file(tmp_path: Path) -> None:
    assert root_tag(written(tmp_path / "a.xml", TEXT)) == "top"
    assert root_tag(written(tmp_path / "b.xml", "<cut off='1'><")) == "cut"


@pytest.mark.parametrize("text", ["", "no XML", "<!DOCTYPE a []><a/>", "<a", "{}"])
def test_file_without_a_first_element_has_no_root_tag(
    tmp_path: Path, text: str
) -> None:
    assert root_tag(written(tmp_path / "a.xml", text)) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<a>\n<b></a>", "Line 2: mismatched tag"),
        ("<a>", "no element found"),
        ("\n<!DOCTYPE a []><a/>", "Line 2: a document type"),
        ("<a>" * (DEEPEST_ELEMENT + 1), "elements in each other"),
        ('<?xml version="1.0" encoding="x-none"?><a/>', "unknown encoding"),
    ],
)
def test_damaged_or_harmful_file_is_refused(
    tmp_path: Path, text: str, why: str
) -> None:
    with pytest.raises(DatasetError, match=r"a\.xml: not an XML of labels") as caught:
        read_xml(written(tmp_path / "a.xml", text))
    assert why in caught.value.why


def test_file_that_is_missing_is_an_os_error(tmp_path: Path) -> None:
    for read in (read_xml, root_tag):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "a.xml")
