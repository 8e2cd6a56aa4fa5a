"""What a daemon reports of a model in trial. Pure: no file, no clock.

A trial has two phases. While it *observes*, the model in force decides, and the new one
sees the same frames in spare time: a new model that is wrong costs no alert. When it
*decides*, it is the other way round. ``deploy`` orders the phases and compares the two
models; ``edge`` counts, and returns to the old model at once when the new one fails.

It is separate from ``models.slot_files``, which reads files: ``deploy.trial`` is pure.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

STARTS_MAX = 3  # of the daemon in one trial, across crashes and reboots


class TrialPhase(StrEnum):
    """Which of the two models decides."""

    OBSERVE = "observe"  # the old one
    DECIDE = "decide"  # the new one


class _Counts(BaseModel):
    """Immutable; keeps unknown fields."""

    model_config = ConfigDict(frozen=True, extra="allow")


class ModelCounts(_Counts):
    """One of the two models of a trial.

    The frames with detections are counted on the frames that both models saw. The
    other figures are of the time in which this model decided, but for ``shadow_``.
    """

    frames_with_detections: int = Field(
        default=0, ge=0, description="Of the compared frames."
    )
    episodes: int = Field(
        default=0,
        ge=0,
        description="How often a frame with detections followed one without.",
    )
    frames: int = Field(default=0, ge=0, description="Frames that it decided.")
    seconds: float = Field(default=0, ge=0, description="Time in which it decided.")
    frames_dropped: int = Field(default=0, ge=0, description="In that time.")
    alerts: int = Field(default=0, ge=0, description="In that time.")
    latency_ms_p50: float = Field(
        default=0, ge=0, description="Of a frame in the model, the other one at rest."
    )
    latency_ms_p99: float = Field(default=0, ge=0)
    latency_frames: int = Field(default=0, ge=0, description="Frames of the latencies.")
    shadow_latency_ms_p50: float = Field(
        default=0, ge=0, description="Of a frame in the model, while the other decided."
    )
    shadow_latency_frames: int = Field(default=0, ge=0)

    @property
    def fps(self) -> float:
        """Frames decided per second; 0 before the first second."""
        return self.frames / self.seconds if self.seconds >= 1 else 0.0

    @property
    def dropped_share(self) -> float:
        """Share of the frames that were dropped, 0..1."""
        return self.frames_dropped / max(1, self.frames + self.frames_dropped)


class TrialReport(_Counts):
    """``trial`` of ``health.json``: the trial that the daemon takes part in."""

    id: str = Field(description="Of the order in trial.json.")
    package_sha256: str
    phase: TrialPhase = Field(description="Phase that the daemon is in.")
    starts: int = Field(ge=0, description="Starts of the daemon in this trial.")
    seconds: float = Field(default=0, ge=0, description="Since this start loaded it.")
    compared: int = Field(default=0, ge=0, description="Frames that both models saw.")
    not_finite: int = Field(
        default=0, ge=0, description="Outputs of the new model with NaN or infinity."
    )
    new: ModelCounts = ModelCounts()
    old: ModelCounts = ModelCounts()
    swap_gap_ms: float = Field(
        default=0,
        ge=0,
        description="Last decision of the old model to first of the new one.",
    )
    rss_bytes: int = Field(default=0, ge=0, description="Resident memory of the daemon")
    rss_bytes_before: int = Field(
        default=0, ge=0, description="Before the new model was loaded."
    )
    fault: str = Field(
        default="", description="Why the old model is back; empty = no fault."
    )
