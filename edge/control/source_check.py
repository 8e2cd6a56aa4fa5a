"""Opens the new cameras of a reload before it is put in force.

A source that cannot be opened refuses the reload: else a typing error in an address
would end the inspection of a camera. The cameras in force deliver frames meanwhile; the
processes that opened are those that inspect afterwards. Files and folders only have to
exist. A device that a camera in force holds is not opened a second time.
"""

from collections.abc import Sequence

from edge.cameras.supervisor import CameraProcess
from edge.config.camera import CameraSettings
from edge.inspection.camera_set import capture_plan
from models.errors import CameraError, ConfigError
from models.messages import CameraState


class SourceCheck:
    """The sources of one reload.

    Args:
        old: Settings in force.
        new: Settings to be put in force.

    Attributes:
        cameras: Processes of new sources, by name of the camera.

    Raises:
        ConfigError: A file, folder or device does not exist.
    """

    def __init__(
        self, old: Sequence[CameraSettings], new: Sequence[CameraSettings]
    ) -> None:
        in_force = {camera.source for camera in old}
        plans = [
            capture_plan(camera) for camera in new if camera.source not in in_force
        ]
        self.cameras: dict[str, CameraProcess] = {}
        try:
            for plan in plans:
                plan.refuse_missing()
        except CameraError as error:
            raise _refusal([error]) from error
        self.cameras = {
            plan.camera: CameraProcess(plan)
            for plan in plans
            if not plan.source.kind.is_file
        }

    def supervise(self, now_ns: int) -> bool:
        """Start and check the processes; return whether all have opened or failed.

        Args:
            now_ns: Monotonic clock.
        """
        for camera in self.cameras.values():
            if camera.state is not CameraState.LOST:
                camera.supervise(now_ns)
        return all(
            camera.is_open or camera.state is CameraState.LOST
            for camera in self.cameras.values()
        )

    def refuse_lost(self) -> None:
        """Refuse the reload where a source could not be opened, and end the others.

        Raises:
            ConfigError: At least one could not.
        """
        cameras = self.cameras.values()
        errors = [c.error() for c in cameras if c.state is CameraState.LOST]
        if errors:
            self.stop()
            raise _refusal(errors)

    def stop(self) -> None:
        """End all processes."""
        for camera in self.cameras.values():
            camera.stop()


def _refusal(errors: Sequence[CameraError]) -> ConfigError:
    return ConfigError(
        " ".join(error.what for error in errors),
        why=" ".join(dict.fromkeys(error.why for error in errors)),
        fix=" ".join(dict.fromkeys(error.fix for error in errors)),
    )
