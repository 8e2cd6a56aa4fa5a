"""Findings: each kind with its heading, one line for a terminal, JSON for machines."""

from pathlib import Path

from trainer.data.findings import Finding, FindingKind, Level, first_names


def test_each_kind_has_its_own_value_and_heading() -> None:
    assert len({kind.heading for kind in FindingKind}) == len(FindingKind)
    assert FindingKind("clipped-box") is FindingKind.CLIPPED_BOX
    assert FindingKind.CLIPPED_BOX == "clipped-box"
    assert f"{FindingKind.CLIPPED_BOX}" == "clipped-box"
    assert FindingKind.CLIPPED_BOX.heading == "Boxes that reach outside their photo"


def test_first_names_are_listed_and_the_others_are_dots() -> None:
    assert first_names("abc") == "a; b; c"
    assert first_names("abcd") == "a; b; c; …"
    assert first_names([]) == ""


def test_finding_stays_on_its_line_and_commands_no_terminal() -> None:
    file = Path("good\nerror: all is lost\x1b[2J\udcff ü.jpg")
    finding = Finding(Level.WARNING, file, "a\tb", "why\r", "fix")
    line = str(finding)
    assert line.isprintable()
    assert "good\\nerror: all is lost\\x1b[2J" in line
    assert "ü.jpg" in line
    assert finding.as_json()["place"] == "a\tb"  # machines get the text as it is


def test_boxes_of_a_finding_are_rounded_in_json() -> None:
    box = (1 / 3, 0.0, 2.0, 3.0)
    finding = Finding(Level.ERROR, Path("a"), "", "why", "fix", boxes=(box,))
    assert finding.as_json()["boxes"] == [[0.33, 0.0, 2.0, 3.0]]
    assert finding.as_json()["kind"] == "annotation"
