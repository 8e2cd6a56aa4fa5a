"""Whether the rules of a camera can report what the installed model knows."""

from edge.config.camera import CameraSettings
from edge.doctor.check_result import CheckResult, Grade
from edge.inspection.known_defects import known_in_slot
from edge.rules.coverage import silent_rules
from models.errors import GraftlineError
from models.slot_files import SlotFolder

DEGRADED = "degraded"


def check_rules(
    settings: CameraSettings, slot: SlotFolder, size_px: tuple[int, int] | None
) -> CheckResult:
    """Compare the rules of a camera with the defects that the package knows.

    Args:
        size_px: Width and height of its frames; None = none has come.
    """
    check = f"rules {settings.name}"
    try:
        known = known_in_slot(slot)
    except GraftlineError:  # the check of the model reports it
        known = ()
    silent = silent_rules(settings.rules, known, size_px)
    if silent:
        what = "; ".join(f"{each.rule} {each.reason}" for each in silent)
        why = "The station is degraded while a rule hides every known defect."
        fix = " ".join(dict.fromkeys(each.fix for each in silent))
        return CheckResult(check, Grade.WARN, f"{DEGRADED}: {what}", why, fix)
    if known:
        what = "each rule can report defects that the model knows"
        return CheckResult(check, Grade.OK, what)
    what = "no model to compare the rules with"
    return CheckResult(check, Grade.OK, what)


def is_degraded(result: CheckResult) -> bool:
    """Return whether a result of ``check_rules`` names a silent rule."""
    return result.grade is Grade.WARN and result.what.startswith(DEGRADED)
