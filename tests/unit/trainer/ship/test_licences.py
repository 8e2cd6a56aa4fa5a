"""Each package carries the licence of its architecture."""

from trainer.detectors.names import Architecture
from trainer.ship.licences import licences_text, notice_of


def test_each_architecture_has_its_licence_in_full() -> None:
    for detector in Architecture:
        text = licences_text(detector, "none")
        assert notice_of(detector).text in text
        assert "Apache License" in text
        assert ("Redistribution and use" in text) == (detector is Architecture.SSDLITE)
