"""MLflow with one run for a training, which a resumed one continues."""

from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import VISBACKENDS
from mmengine.visualization import MLflowVisBackend
from mmengine.visualization.vis_backend import force_init_env

RUN = "run_id.txt"  # in the backend's folder


@VISBACKENDS.register_module()
class ContinuedMLflowBackend(MLflowVisBackend):
    """mmengine's backend for MLflow, for pictures and for trainings that stop and go on.

    mmengine begins a run at every start, and gives pictures names that MLflow cannot save. Here the
    run's id is kept in ``WORK_DIR/mlflow``, and later starts log to the same run.

    Args:
        save_dir: the folder; LocalMIMRunner gives it where the config does not.
        tracking_uri: of a server; None for a database in the folder, for
            ``mlflow ui --backend-store-uri sqlite:///WORK_DIR/mlflow/mlflow.db``.
        **kwargs: the parent's other arguments, ``exp_name`` and ``run_name`` among them.
    """

    def __init__(self, save_dir: str, tracking_uri: str | None = None, **kwargs) -> None:
        folder = Path(save_dir).absolute()
        if tracking_uri is None:
            tracking_uri = f"sqlite:///{folder / 'mlflow.db'}"
            kwargs.setdefault("artifact_location", (folder / "artifacts").as_uri())
            kwargs.setdefault("artifact_suffix", ())  # the work dir's files lie beside it
        super().__init__(save_dir, tracking_uri=tracking_uri, **kwargs)

    def _init_env(self) -> None:
        import mlflow

        kept = Path(self._save_dir, RUN)
        self._continues = kept.is_file()
        mlflow.set_tracking_uri(self._tracking_uri)
        if self._continues:
            mlflow.start_run(run_id=kept.read_text().strip())
        super()._init_env()
        run = mlflow.active_run() or mlflow.start_run()
        kept.write_text(run.info.run_id)

    @force_init_env
    def add_config(self, config: Config, **kwargs) -> None:
        """Record the config; parameters are the first start's, as MLflow never changes them."""
        if self._continues:
            self.cfg = config
            self._mlflow.log_text(config.pretty_text, "config.py")
        else:
            super().add_config(config, **kwargs)

    @force_init_env
    def add_image(self, name: str, image: Any, step: int = 0, **kwargs) -> None:
        """Save a picture, (H, W, 3) RGB, as the artifact ``NAME/STEP.png``."""
        self._mlflow.log_image(image, f"{name}/{step:08}.png")
