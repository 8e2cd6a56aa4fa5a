"""The bill of materials names the model, its origin and the libraries."""

import json
from datetime import UTC, datetime

import pytest

from models.manifest import Manifest, Variant, VariantName
from tests.simulators.runs import make_run, write_spots
from trainer.data.dataset import open_dataset
from trainer.ship.manifest_draft import draft_manifest
from trainer.ship.sbom import PACKING_LIBRARIES, bill_of_materials, library_versions


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("spots")
    write_spots(folder / "data", train=2, val=2, good=2)
    run = make_run(folder / "run", open_dataset(folder / "data"))
    variant = Variant(
        model="a.xml", runtime="openvino", precision="fp32", size_bytes=1, tolerances={}
    )
    return draft_manifest(
        run.record,
        name="spots",
        now=datetime(2026, 5, 4, tzinfo=UTC),
        anchors=24,
        calibration=None,
        variants={VariantName.OPENVINO_FP32: variant},
    )


def test_every_packing_library_has_a_version() -> None:
    versions = library_versions()
    assert set(versions) == {"graftline", *PACKING_LIBRARIES}
    assert "unknown" not in {versions[name] for name in PACKING_LIBRARIES}


def test_same_model_has_the_same_serial_number(manifest: Manifest) -> None:
    first, again = (json.loads(bill_of_materials(manifest, "a" * 64)) for _ in range(2))
    other = json.loads(bill_of_materials(manifest, "b" * 64))
    assert first["serialNumber"] == again["serialNumber"] != other["serialNumber"]
    assert first["specVersion"] == "1.6"


def test_pretrained_weights_are_a_component(manifest: Manifest) -> None:
    lineage = manifest.lineage.model_copy(
        update={"pretrained": "coco", "pretrained_sha256": "c" * 64}
    )
    started = manifest.model_copy(update={"lineage": lineage})
    components = json.loads(bill_of_materials(started, "a" * 64))["components"]
    (pretrained,) = [part for part in components if part["bom-ref"] == "pretrained"]
    assert pretrained["name"] == "coco"
    assert pretrained["hashes"] == [{"alg": "SHA-256", "content": "c" * 64}]
    purls = {part["purl"] for part in components if part["type"] == "library"}
    assert any(purl.startswith("pkg:pypi/torch@") for purl in purls)
