"""The file of a camera's baseline.

The daemon reads it and passes it to a camera's process, which reads it itself only
after it has learned a baseline and was restarted: pydantic costs memory per camera.
"""

import base64
import binascii
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge.cameras.health.baseline import BASELINE_SCHEMA_VERSION, Baseline
from models.errors import ConfigError
from models.files import read_regular

BASELINE_MAX_BYTES = 4 << 20  # a square scene has 60 kB


class BaselineFile(BaseModel):
    """The file of a baseline. Readers refuse a newer ``schema_version``."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = Field(ge=1, le=BASELINE_SCHEMA_VERSION)
    size_px: tuple[int, int]
    looks: int = Field(ge=1)
    mean_low: float = Field(ge=0, le=255)
    mean_high: float = Field(ge=0, le=255)
    std_low: float = Field(ge=0)
    contrast_low: float = Field(ge=0)
    sharpness_low: float = Field(ge=0)
    saturated_high: float = Field(ge=0, le=1)
    row_floor: tuple[int, ...] = Field(max_length=1 << 16)
    seams: tuple[int, ...] = Field(max_length=1 << 16)
    background_size_px: tuple[int, int]
    background: str = Field(description="Base64 of the grey levels, row by row.")
    still: str = Field(description="Base64 of one bit for each pixel, row by row.")

    @model_validator(mode="after")
    def _pictures_fit(self) -> Self:
        """Refuse pictures of another size than ``background_size_px``."""
        width, height = self.background_size_px
        try:
            levels, bits = map(_decoded, (self.background, self.still))
        except binascii.Error as exc:
            raise ValueError(f"a picture is not Base64: {exc}") from exc
        pixels = max(width, 0) * max(height, 0)
        if pixels == 0 or (len(levels), len(bits)) != (pixels, -(-pixels // 8)):
            msg = f"pictures do not have {width} x {height} pixels"
            raise ValueError(msg)
        return self

    def decoded(self) -> Baseline:
        """Return the baseline with its pictures decoded."""
        width, height = self.background_size_px
        background = np.frombuffer(_decoded(self.background), np.uint8)
        still = np.unpackbits(
            np.frombuffer(_decoded(self.still), np.uint8), count=width * height
        )
        fields = self.model_dump(
            exclude={"schema_version", "background_size_px", "background", "still"}
        )
        return Baseline(
            **fields,
            background=background.reshape(height, width),
            still=still.reshape(height, width).astype(np.bool_),
        )


def read_baseline(path: Path) -> Baseline | None:
    """Return the baseline in a file; None where there is no file.

    Raises:
        ConfigError: It cannot be read, or is no baseline.
    """
    try:
        if not path.exists():
            return None
        content = read_regular(path, BASELINE_MAX_BYTES)
        return BaselineFile.model_validate_json(content).decoded()
    except OSError as exc:
        raise _no_baseline(path, exc.strerror or str(exc)) from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise _no_baseline(path, f"{place}: {first['msg']}.") from exc


def _decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _no_baseline(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{path}: not a camera's baseline.",
        why=why,
        fix="Delete it: a new one is learned from the next frames.",
    )
