"""The backend for MLflow, on a stand-in that has the real one's rules.

As seen with mlflow 3: Pillow saves pictures by the name of the artifact, a run that goes on
refuses parameters that changed, and without a run id a new run begins.
"""

import io
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger
from PIL import Image

from localmim.engine import ContinuedMLflowBackend
from localmim.engine.backends import share_folders


class MlflowException(Exception):
    pass


class Server:
    """What is kept between processes."""

    def __init__(self):
        self.runs, self.experiments, self.active = {}, {}, None

    def module(self):
        """Mlflow as a process imports it."""
        fake = ModuleType("mlflow")
        self.active = None
        fake.MlflowException = MlflowException
        fake.set_tracking_uri = lambda uri: setattr(self, "uri", uri)
        fake.get_experiment_by_name = self.experiments.get
        fake.create_experiment = self.create
        for name in ("set_experiment", "set_tags", "end_run"):
            setattr(fake, name, lambda *_args, **_kwargs: None)
        fake.active_run = lambda: (
            self.active and SimpleNamespace(info=SimpleNamespace(run_id=self.active))
        )
        fake.start_run = self.start
        fake.set_tag = lambda name, value: self.run()["tags"].update({name: value})
        fake.log_params = self.log_params
        fake.log_text = lambda text, name: self.run()["files"].update({name: text})
        fake.log_metrics = lambda found, step: self.run()["metrics"].append((step, found))
        fake.log_image = self.log_image
        return fake

    def create(self, name, artifact_location=None):
        self.experiments[name] = artifact_location

    def start(self, run_id=None):
        if run_id is not None and run_id not in self.runs:
            raise MlflowException(f"Run {run_id} not found")
        self.active = run_id or f"run{len(self.runs)}"
        self.runs.setdefault(self.active, dict(params={}, metrics=[], files={}, tags={}))
        return SimpleNamespace(info=SimpleNamespace(run_id=self.active))

    def run(self):
        if self.active is None:
            self.start()
        return self.runs[self.active]

    def log_params(self, params):
        kept = self.run()["params"]
        for name, value in params.items():
            if kept.setdefault(name, value) != value:
                raise MlflowException(f"Changing param values is not allowed: {name}")

    def log_image(self, image, name):
        extension = f".{name.rpartition('.')[2]}"
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, Image.registered_extensions()[extension])
        self.run()["files"][name] = buffer.getvalue()


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Starts of one training, as by the runner."""
    server = Server()
    MMLogger.get_instance("test_mlflow", log_file=str(tmp_path / "log.txt"))

    def start(**settings):
        monkeypatch.setitem(sys.modules, "mlflow", server.module())
        given = dict(vis_backends=[dict(type="ContinuedMLflowBackend", exp_name="mim", **settings)])
        share_folders(given, str(tmp_path))
        given["vis_backends"][0].pop("type")
        return ContinuedMLflowBackend(**given["vis_backends"][0])

    start.server = server
    return start


def test_a_later_start_goes_on_with_the_run(start, tmp_path):
    for number, resume in enumerate((False, True)):
        backend = start(run_name="mine")
        backend.add_config(Config(dict(resume=resume, work_dir=str(tmp_path))))
        backend.add_scalars(dict(loss=0.5), step=number)
        backend.close()
    (run,) = start.server.runs.values()
    assert [step for step, _ in run["metrics"]] == [0, 1]
    assert run["params"]["resume"] is False
    assert Config.fromstring(run["files"]["config.py"], ".py").resume is True
    assert run["tags"] == {"mlflow.runName": "mine"}
    assert start.server.uri == f"sqlite:///{tmp_path}/mlflow/mlflow.db"
    assert start.server.experiments == {"mim": f"file://{tmp_path}/mlflow/artifacts"}


def test_pictures_are_saved_by_step(start):
    backend = start()
    picture = np.full((4, 6, 3), 99, np.uint8)
    for step in (7, 14):
        backend.add_image("reconstruction_scale0_stride4", picture, step=step)
    (run,) = start.server.runs.values()
    names = [f"reconstruction_scale0_stride4/{step:08}.png" for step in (7, 14)]
    assert list(run["files"]) == names
    saved = np.asarray(Image.open(io.BytesIO(run["files"][names[0]])))
    assert (saved == picture).all()


def test_a_server_is_left_to_keep_its_files(start):
    backend = start(tracking_uri="http://localhost:5000")
    backend.add_scalars(dict(loss=0.5))
    assert start.server.uri == "http://localhost:5000"
    assert start.server.experiments == {"mim": None}
