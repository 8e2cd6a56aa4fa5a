"""The manifest of a package that is being made."""

import re
from collections.abc import Mapping
from datetime import datetime

from models.errors import ConfigError
from models.manifest import (
    SCHEMA_VERSION,
    UNTILED_SCHEMA,
    DetectorInfo,
    InputInfo,
    Lineage,
    Manifest,
    OutputInfo,
    TilesInfo,
    Variant,
    VariantName,
    build_number,
)
from models.tiles import Tiles
from trainer.run_record import RunRecord
from trainer.ship.golden_frames import EXPECTED
from trainer.ship.licences import notice_of
from trainer.ship.sbom import library_versions

LONGEST_NAME = 32
NAME = re.compile(rf"[a-z0-9-]{{1,{LONGEST_NAME}}}")


def model_name(wanted: str | None, record: RunRecord) -> str:
    """Return the name of the model.

    Args:
        wanted: Given by the user; None = made from the run's name.

    Raises:
        ConfigError: The wanted name cannot be part of an MQTT topic.
    """
    if wanted is None:
        return _plain_name(record.name)[:LONGEST_NAME].strip("-") or "model"
    if not NAME.fullmatch(wanted):
        raise ConfigError(
            f"--name {wanted}: not a valid model name.",
            why=f"Lower-case letters, digits and dashes, at most {LONGEST_NAME}.",
            fix=f"For example --name {_plain_name(wanted)[:LONGEST_NAME]}",
        )
    return wanted


def _plain_name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower())


def draft_manifest(
    record: RunRecord,
    *,
    name: str,
    now: datetime,
    anchors: int,
    calibration: Mapping[str, object] | None,
    variants: Mapping[VariantName, Variant],
) -> Manifest:
    """Return a manifest that is complete except for its list of files.

    Args:
        now: Time of packing, aware.
        anchors: Candidates that the graph returns for each image.
        calibration: Photos that INT8 was calibrated with; None = no INT8.
        variants: At least one.
    """
    return Manifest(
        schema_version=SCHEMA_VERSION if record.tiles else UNTILED_SCHEMA,
        name=name,
        build=build_number(now),
        created_at=now,
        detector=DetectorInfo(
            name=record.detector,
            activation=record.activation,
            license=notice_of(record.detector).license,
        ),
        labels=record.labels,
        input=InputInfo(
            height_px=record.input_height_px,
            width_px=record.input_width_px,
            bit_depth=record.bit_depth,
        ),
        tiles=_tiles_info(record.tiles),
        output=OutputInfo(anchors=anchors),
        thresholds=record.thresholds,
        metrics=record.metrics,
        lineage=_lineage(record, calibration),
        variants=dict(variants),
        golden=EXPECTED,
        files={},
        sealed=True,
    )


def _lineage(record: RunRecord, calibration: Mapping[str, object] | None) -> Lineage:
    lineage: dict[str, object] = {
        "dataset_sha256": record.dataset_sha256,
        "dataset_images": record.dataset_images,
        "recipe": record.recipe,
        "seed": record.seed,
        "pretrained": record.pretrained,
        "pretrained_sha256": record.pretrained_sha256,
        "ancestors": [
            {
                "name": ancestor.name,
                "weights_sha256": ancestor.sha256,
                "dataset_sha256": ancestor.dataset_sha256,
            }
            for ancestor in record.ancestors
        ],
        "versions": {**library_versions(), **record.versions},
    }
    if calibration is not None:
        lineage["calibration"] = dict(calibration)
    return Lineage.model_validate(lineage)


def _tiles_info(tiles: Tiles | None) -> TilesInfo | None:
    if tiles is None:
        return None
    return TilesInfo(
        picture_height_px=tiles.picture_height_px,
        picture_width_px=tiles.picture_width_px,
        overlap_px=tiles.overlap_px,
    )
