"""TensorBoard with one folder for a training, whose curves a resumed run continues."""

from typing import Any

from mmengine.registry import VISBACKENDS
from mmengine.visualization import TensorboardVisBackend


@VISBACKENDS.register_module()
class ContinuedTensorboardBackend(TensorboardVisBackend):
    """mmengine's backend for TensorBoard, for trainings that stop and go on.

    mmengine gives every start of a training a folder of its own, hence curves in pieces. Here all
    starts write to ``WORK_DIR/tensorboard``, and what an earlier one logged beyond the checkpoint
    that a resumed one begins with is left out by TensorBoard.

    Args:
        save_dir: the folder; LocalMIMRunner gives it where the config does not.
    """

    _begun = False

    def add_image(self, name: str, image: Any, step: int = 0, **kwargs) -> None:
        self._begin(step)
        super().add_image(name, image, step, **kwargs)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs) -> None:
        self._begin(step)
        super().add_scalar(name, value, step, **kwargs)

    def add_scalars(self, scalar_dict: dict, step: int = 0, *args, **kwargs) -> None:
        self._begin(step)
        super().add_scalars(scalar_dict, step, *args, **kwargs)

    def _begin(self, step: int) -> None:
        """Before the first value: those from its step on are of a former start."""
        if self._begun:
            return
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        self._begun = True
        writer = self.experiment.file_writer
        if writer is None:
            writer = self.experiment._get_file_writer()
        writer.add_event(Event(step=step, session_log=SessionLog(status=SessionLog.START)), step)
