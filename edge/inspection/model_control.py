"""Puts models in force between two frames, and runs the trial of a package."""

import logging
from collections.abc import Callable

from edge.inspection.model import LoadedModel
from edge.inspection.model_watch import ModelWatcher, TrialCandidate
from edge.inspection.pipeline import Pipeline
from edge.inspection.trial import Trial
from models.errors import ConfigError
from models.trial_report import TrialPhase, TrialReport

logger = logging.getLogger(__name__)

UNWATCHED = "the trial lasted too long: nothing compared the two models any more"


class ModelControl:
    """Used by the thread of the pipeline; the report by the thread of the status.

    Args:
        check: Raises ``ConfigError`` where a model does not fit the configuration.
        on_swap: Called when another model decides from the next frame on.
    """

    def __init__(
        self,
        watcher: ModelWatcher,
        pipeline: Pipeline,
        check: Callable[[LoadedModel], None],
        on_swap: Callable[[LoadedModel], None],
    ) -> None:
        self._watcher, self._pipeline = watcher, pipeline
        self._check, self._on_swap = check, on_swap
        self._in_force = pipeline.model  # of which `on_swap` knows
        self._refused: TrialReport | None = None

    @property
    def report(self) -> TrialReport | None:
        """The counts of the trial; None = there is no trial."""
        trial = self._pipeline.trial
        return trial.report() if trial else self._refused

    def update(self) -> None:
        """Do what flashing wants meanwhile; called between two frames."""
        candidate = self._watcher.take_candidate()
        if candidate is not None:
            self._end()
            self._begin(candidate)
        self._follow_order()
        model = self._watcher.take()
        if model is not None:
            self._end()
            self._put_in_force(model)

    def close(self) -> None:
        """Stop the thread of a trial."""
        if self._pipeline.trial is not None:
            self._pipeline.trial.close()

    def _begin(self, candidate: TrialCandidate) -> None:
        model, fault = candidate.model, candidate.fault
        if model is not None:
            try:
                self._check(model)
            except ConfigError as error:
                model, fault = None, f"it does not fit the configuration: {error}"
        if model is None:
            self._refused = TrialReport(
                id=candidate.order.id,
                package_sha256=candidate.order.package_sha256,
                phase=candidate.order.phase,
                starts=candidate.starts,
                fault=fault,
            )
            return
        pipeline = self._pipeline
        pipeline.trial = Trial(
            candidate, pipeline.model, model, lambda: pipeline.channels
        )
        logger.info(
            "trial_started name=%s build=%d sha256=%s start=%d",
            *(model.in_force.name, model.in_force.build, model.in_force.sha256),
            candidate.starts,
        )

    def _follow_order(self) -> None:
        trial, order = self._pipeline.trial, self._watcher.order
        if order is None:
            self._refused = None
        if trial is None:
            return
        if order is None or order.id != trial.order.id:
            self._end()
            return
        if not trial.fault and trial.seconds > order.limit_s:
            trial.fail(UNWATCHED)
        if order.phase is TrialPhase.DECIDE and trial.phase is TrialPhase.OBSERVE:
            trial.decide_with_new()
        self._put_in_force(trial.deciding)

    def _end(self) -> None:
        """Keep the new model if it is in force now; else return to the old one."""
        trial, self._refused = self._pipeline.trial, None
        if trial is None:
            return
        self._pipeline.trial = None
        trial.end()
        is_committed = self._watcher.running == trial.order.package_sha256
        self._put_in_force(trial.new if is_committed else trial.base)
        logger.info("trial_ended is_committed=%s", is_committed)

    def _put_in_force(self, model: LoadedModel) -> None:
        if model is not self._pipeline.model:
            self._pipeline.swap_model(model)
        if model is self._in_force:
            return
        self._in_force = model
        self._on_swap(model)
        logger.info(
            "model_swapped name=%s build=%d sha256=%s",
            *(model.in_force.name, model.in_force.build, model.in_force.sha256),
        )
