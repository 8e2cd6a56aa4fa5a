"""The copyright notices and licences of the work inside a package."""

from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from trainer.detectors.names import Architecture

FILE = "LICENSES"
TEMPLATES = Path(__file__).parent / "templates"
RULE = "\n\n" + "=" * 78 + "\n\n"


@dataclass(frozen=True, slots=True)
class Notice:
    """The origin of an architecture."""

    license: str  # SPDX identifier of code and published weights
    text: str


def notice_of(detector: Architecture) -> Notice:
    """Return the notice for one architecture."""
    match detector:
        case Architecture.GRAFT_N | Architecture.GRAFT_S:
            return Notice(
                "Apache-2.0",
                "Detector: graft, Graftline's own, in the shape of YOLOX "
                "(arXiv:2107.08430).\n"
                "Copyright (c) 2026 the Graftline authors.\n"
                "Licensed under the Apache License, Version 2.0.",
            )
        case Architecture.YOLOX_NANO | Architecture.YOLOX_TINY | Architecture.YOLOX_S:
            return Notice(
                "Apache-2.0",
                "Detector: YOLOX (arXiv:2107.08430).\n"
                "Copyright (c) 2021-2022 Megvii Inc. All rights reserved.\n"
                "Licensed under the Apache License, Version 2.0.\n"
                "Reimplemented in Graftline; weights may descend from Megvii's.",
            )
        case Architecture.SSDLITE:
            return Notice(
                "BSD-3-Clause",
                "Detector: SSDLite320 with MobileNetV3-Large, from torchvision.\n"
                "Copyright (c) Soumith Chintala 2016. All rights reserved.\n"
                "Licensed under the BSD 3-Clause License.",
            )
        case Architecture.LITE0:
            return Notice(
                "Apache-2.0",
                "Backbone: EfficientNet-Lite0 (arXiv:1905.11946).\n"
                "Copyright The TensorFlow Authors.\n"
                "Licensed under the Apache License, Version 2.0.\n"
                "Reimplemented in Graftline; the weights are theirs, trained on "
                "ImageNet.",
            )
        case _:
            assert_never(detector)


def licences_text(detector: Architecture, pretrained: str) -> str:
    """Return the content of the package's ``LICENSES``."""
    notice = notice_of(detector)
    head = (
        "This package was made by Graftline (Apache-2.0).\n"
        "The photos in golden/ and what the model learned from them belong to those\n"
        "who trained it; the licences below cover the detector, not the photos.\n\n"
        f"{notice.text}\n"
        f"Training started from: {pretrained}"
    )
    texts = [_template("apache-2.0.txt")]
    if notice.license == "BSD-3-Clause":
        texts.append(_template("bsd-3-clause.txt"))
    return RULE.join((head, *texts)) + "\n"


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text("utf-8").strip("\n")
