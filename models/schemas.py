"""Writes the JSON Schemas of files and messages into ``schemas/``.

``python -m models.schemas FOLDER`` writes them into another folder.
"""

import json
import sys
from pathlib import Path

from pydantic import BaseModel

from models import (
    commands,
    golden,
    inbox_files,
    manifest,
    messages,
    photo_provenance,
    slot_files,
)

FOLDER = Path(__file__).resolve().parent.parent / "schemas"

LAYOUTS: dict[str, type[BaseModel]] = {
    "manifest": manifest.Manifest,
    "golden": golden.GoldenSet,
    "message-station-status": messages.StationStatus,
    "message-camera-status": messages.CameraStatus,
    "message-camera-stats": messages.CameraStats,
    "message-alert": messages.AlertEvent,
    "message-verdict": messages.VerdictEvent,
    "message-loss": messages.LossEvent,
    "message-ack": messages.Acknowledgement,
    "message-model-desired": messages.DesiredModel,
    "message-model-reported": messages.ReportedModel,
    "command-trigger": commands.TriggerCommand,
    "command-reload": commands.ReloadCommand,
    "command-snapshot": commands.SnapshotCommand,
    "command-evidence": commands.EvidenceCommand,
    "command-reply": commands.CommandReply,
    "slot-state": slot_files.SlotRecord,
    "slot-proof": slot_files.ProofFile,
    "slot-health": slot_files.Health,
    "inbox-request": inbox_files.FlashRequest,
    "inbox-step": inbox_files.StepLine,
    "inbox-result": inbox_files.ResultLine,
    "inbox-wanted": inbox_files.WantedFiles,
    "inbox-missing": inbox_files.MissingFiles,
    "slot-trial": slot_files.TrialOrder,
    "slot-trial-starts": slot_files.TrialStarts,
    "slot-refused": slot_files.RefusedFile,
    "provenance": photo_provenance.Provenance,
}


def render() -> dict[str, str]:
    """Return file name to JSON Schema, for all files in ``schemas/``."""
    return {
        f"{name}.schema.json": json.dumps(layout.model_json_schema(), indent=2) + "\n"
        for name, layout in LAYOUTS.items()
    }


def write(folder: Path) -> None:
    """Write every schema into a folder, which is created if it does not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in render().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
