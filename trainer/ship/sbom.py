"""``sbom.cdx.json``: the bill of materials of a package.

Source:
    CycloneDX 1.6, with a machine-learning-model component and its model card.
"""

import json
import uuid
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, metadata, version

from models.manifest import Manifest

FILE = "sbom.cdx.json"
PACKING_LIBRARIES = (
    "nncf",
    "numpy",
    "onnx",
    "onnxruntime",
    "opencv-python-headless",
    "openvino",
    "torch",
    "torchvision",
)
# drawn once; the same model gets the same serial number
NAMESPACE = uuid.UUID("8a5e1f0c-7d0b-4d8e-9b38-2a1c54f4f3b1")


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that make a package."""
    found = {}
    for name in ("graftline", *PACKING_LIBRARIES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a checkout that was never installed
            found[name] = "unknown"
    return found


def bill_of_materials(manifest: Manifest, model_sha256: str) -> str:
    """Return the CycloneDX document of a package as JSON."""
    libraries = manifest.lineage.versions
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(NAMESPACE, model_sha256).urn,
        "version": 1,
        "metadata": {
            "timestamp": manifest.created_at.isoformat(),
            "tools": {
                "components": [
                    {
                        "type": "application",
                        "name": "graftline",
                        "version": libraries.get("graftline", "unknown"),
                        "licenses": [{"license": {"id": "Apache-2.0"}}],
                    }
                ]
            },
            "component": _model(manifest, model_sha256),
        },
        "components": [*_pretrained(manifest), *_libraries(libraries)],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _model(manifest: Manifest, model_sha256: str) -> dict[str, object]:
    metrics = manifest.metrics
    figures = {
        "mAP@.33": metrics.map_33,
        "mAP@.5": metrics.map_50,
        "mAP@.75": metrics.map_75,
        "recall": metrics.recall,
        "precision": metrics.precision,
        "overkill": metrics.overkill,
        "escapes": metrics.escapes,
    }
    return {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": manifest.name,
        "version": str(manifest.build),
        "licenses": [{"license": {"id": manifest.detector.license}}],
        "hashes": [{"alg": "SHA-256", "content": model_sha256}],
        "modelCard": {
            "modelParameters": {
                "approach": {"type": "supervised"},
                "task": "object-detection",
                "architectureFamily": manifest.detector.name.partition("-")[0],
                "modelArchitecture": manifest.detector.name,
                "datasets": [
                    {
                        "type": "dataset",
                        "name": f"sha256:{manifest.lineage.dataset_sha256}",
                    }
                ],
                "inputs": [{"format": "images [1, 3, H, W] float32 BGR 0..255"}],
                "outputs": [{"format": "detections [1, 4 + C, A] float32"}],
            },
            "quantitativeAnalysis": {
                "performanceMetrics": [
                    {"type": name, "value": f"{value:.4f}", "slice": metrics.split}
                    for name, value in figures.items()
                    if value is not None
                ]
            },
        },
    }


def _pretrained(manifest: Manifest) -> list[dict[str, object]]:
    sha256 = manifest.lineage.pretrained_sha256
    if sha256 is None:
        return []
    return [
        {
            "type": "machine-learning-model",
            "bom-ref": "pretrained",
            "name": manifest.lineage.pretrained,
            "hashes": [{"alg": "SHA-256", "content": sha256}],
        }
    ]


def _libraries(libraries: Mapping[str, str]) -> list[dict[str, object]]:
    return [
        {
            "type": "library",
            "bom-ref": f"pkg:pypi/{name}@{number}",
            "name": name,
            "version": number,
            "purl": f"pkg:pypi/{name}@{number}",
            **_licence_of(name),
        }
        for name, number in sorted(libraries.items())
        if name != "graftline"
    ]


def _licence_of(library: str) -> dict[str, object]:
    """Return a library's licence as its own metadata states it."""
    try:
        stated = metadata(library)
    except PackageNotFoundError:
        return {}
    if "License-Expression" in stated:
        return {"licenses": [{"expression": stated["License-Expression"]}]}
    name = stated["License"].strip() if "License" in stated else ""
    if name and "\n" not in name and len(name) < 64:  # some hold the whole text
        return {"licenses": [{"license": {"name": name}}]}
    return {}
