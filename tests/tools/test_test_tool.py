import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tool_main import tool

from localmim.models import SparseViT
from localmim.scenes import SceneSet, write_scenes

ROOT = Path(__file__).parents[2]
ARCH = dict(embed_dims=128, num_layers=8, num_heads=4, feedforward_channels=512)
KNN = "configs/demo/knn_vit-mini-p8_scenes.py"
SEGMENTATION = "configs/demo/upernet_r50-mini_1xb8-coslr-900_scenes.py"


def call(*command, **environment):
    return subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            **environment,
        },
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes({"folder": folder / "folder"}, SceneSet(15, 9, (64, 64), max_objects=1))
    write_scenes({"ade20k": folder / "ade20k"}, SceneSet(8, 3, (64, 64)))
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    model = SparseViT(ARCH, img_size=64, patch_size=8)
    path = tmp_path_factory.mktemp("encoder") / "encoder.pth"
    torch.save({"state_dict": {f"backbone.{n}": x for n, x in model.state_dict().items()}}, path)
    return path


@pytest.mark.usefixtures("on_the_cpu")
def test_neighbours_on_one_process_and_on_two_agree(tmp_path, scenes, encoder):
    options = [
        "--cfg-options",
        f"test_dataloader.dataset.data_root={scenes}/folder/val",
        f"model.bank_dataloader.dataset.data_root={scenes}/folder/train",
        "model.k=3",
        "test_dataloader.batch_size=2",
        "model.bank_dataloader.batch_size=2",
    ]
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    pictures = ["--show-dir", tmp_path / "pictures"]
    tool("test", KNN, encoder, "--work-dir", tmp_path / "one", "--out", one, *pictures, *options)
    done = call(
        *("tools/dist_test.sh", KNN, encoder, 2),
        *("--work-dir", tmp_path / "two", "--out", two, *options),
        PORT="29631",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    metrics = [json.loads(out.read_text()) for out in (one, two)]
    assert metrics[0].keys() == {"accuracy/top1", "balanced_accuracy", "auc"}
    assert metrics[0] == pytest.approx(metrics[1], nan_ok=True)
    assert len(list((tmp_path / "pictures").rglob("*.png"))) == 9


@pytest.mark.usefixtures("on_the_cpu")
def test_segmentation_trains_and_tests_on_two_processes(tmp_path, scenes):
    data = [
        f"{split}_dataloader.dataset.data_root={scenes}/ade20k"
        for split in ("train", "val", "test")
    ]
    small = [
        *("model.backbone.init_cfg=None", "train_dataloader.batch_size=2", "train_cfg.max_iters=2"),
        *("train_cfg.val_interval=2", "param_scheduler.0.end=1", "param_scheduler.1.begin=1"),
    ]
    trained = call(
        *("tools/dist_train.sh", SEGMENTATION, 2, "--work-dir", tmp_path / "train"),
        *("--cfg-options", *data, *small),
        PORT="29632",
    )
    assert trained.returncode == 0, trained.stderr[-3000:]
    tool(
        *("test", SEGMENTATION, tmp_path / "train/iter_2.pth"),
        *("--work-dir", tmp_path / "test", "--show-dir", tmp_path / "pictures"),
        *("--cfg-options", *data, "model.backbone.init_cfg=None"),
    )
    assert len(list((tmp_path / "pictures").rglob("*.png"))) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([KNN, "gone.pth"], "checkpoint 'gone.pth' does not exist"),
        (["gone.py", "gone.pth"], "config 'gone.py' does not exist"),
        ([KNN, KNN, "--out", "metrics.txt"], "--out must end in .json, got 'metrics.txt'"),
    ],
)
def test_bad_arguments_are_one_line(capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        tool("test", *arguments)
    assert stop.value.code == 2 and message in capsys.readouterr().err.splitlines()[-1]
