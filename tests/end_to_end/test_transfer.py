"""From pre-training over conversion to classification, segmentation and detection, very small."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, RUNNERS, init_default_scope
from mmseg.structures import SegDataSample

from localmim.checkpoints import convert_file, init_weights
from localmim.scenes import LAYOUTS, SceneSet, write_scenes

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "configs/demo"
PRETRAINING = {
    "vit": "localmim_vit-mini-p8_1xb16-coslr-2k_scenes",
    "swin": "localmim_swin-mini-w4_1xb64-coslr-2k_scenes",
    "r50": "localmim_r50-mini_1xb32-coslr-1k_scenes",
    "convnext": "localmim_convnext-mini_1xb32-coslr-1k_scenes",
    "lomar": "lomar_vit-mini-p8_1xb16-coslr-2k_scenes",
    "a2mim-r50": "a2mim_r50-mini_1xb32-coslr-1k_scenes",
    "a2mim-vit": "a2mim_vit-mini-p8_1xb16-coslr-2k_scenes",
}
# Config -> its pre-training and the kind of checkpoint that it reads.
CHAINS = {
    "vit-mini-p8_1xb32-coslr-300_scenes": ("vit", "localmim"),
    "linear_vit-mini-p8_1xb32-coslr-300_scenes": ("vit", "localmim"),
    "swin-mini-w4_1xb32-coslr-300_scenes": ("swin", "localmim"),
    "upernet_vit-mini-p8_1xb8-coslr-900_scenes": ("vit", "mmseg-mae"),
    "upernet_swin-mini-w4_1xb8-coslr-900_scenes": ("swin", "mmseg"),
    "upernet_r50-mini_1xb8-coslr-900_scenes": ("r50", "mmpretrain"),
    "mask-rcnn_vit-mini-p8_sfp_1xb4-coslr-450_scenes": ("vit", "localmim"),
    "mask-rcnn_swin-mini-w4_fpn_1xb4-coslr-450_scenes": ("swin", "mmdet"),
    "mask-rcnn_r50-mini_fpn_1xb4-coslr-450_scenes": ("a2mim-r50", "mmdet"),
    "r50-mini_1xb32-coslr-300_scenes": ("a2mim-r50", "localmim"),
    "convnext-mini_1xb32-coslr-300_scenes": ("convnext", "mmpretrain"),
    "vit-irpe-mini-p8_1xb32-coslr-300_scenes": ("lomar", "localmim"),
    "vit-beit-mini-p8_1xb32-coslr-300_scenes": ("a2mim-vit", "mmpretrain"),
}


@pytest.fixture(autouse=True)
def _on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("mmengine.runner.runner.get_device", lambda: "cpu")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """A folder with scenes in every layout."""
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes({layout: folder / layout for layout in LAYOUTS}, SceneSet(24, 6, (64, 64)))
    (folder / "unlabelled").symlink_to(folder / "ade20k")
    return folder


def on_few_scenes(name, work_dir, scenes) -> Config:
    """A demo config that reads the few scenes."""
    cfg = Config.fromfile(DEMO / f"{name}.py")
    cfg = Config.fromstring(cfg.pretty_text.replace("data/scenes/", f"{scenes}/"), ".py")
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = f"{name}-{np.random.default_rng().integers(1 << 40)}"
    return cfg


def short(name, work_dir, scenes) -> Config:
    """A demo config with four iterations, on the few scenes."""
    cfg = on_few_scenes(name, work_dir, scenes)
    cfg.merge_from_dict(
        {
            "train_dataloader.batch_size": 4,
            "train_dataloader.num_workers": 0,
            "train_cfg.max_iters": 4,
            "train_cfg.val_interval": 4,
            "param_scheduler.0.end": 1,
            "param_scheduler.1.begin": 1,
            "optim_wrapper.optimizer.lr": 1e-6,  # or a detector finds nothing after four steps
        }
    )
    for loader in ("val_dataloader", "test_dataloader"):
        if cfg.get(loader) is not None:
            cfg[loader].num_workers = 0
    return cfg


@pytest.fixture(scope="module")
def weights(tmp_path_factory, scenes):
    """(backbone, dialect) -> file, after a short pre-training."""
    folder = tmp_path_factory.mktemp("weights")
    files = {}
    for backbone, name in PRETRAINING.items():
        cfg = short(name, folder / backbone, scenes)
        RUNNERS.build(cfg).train()
        files[backbone, "localmim"] = folder / backbone / "iter_4.pth"
    for backbone, dialect in set(CHAINS.values()):
        if dialect != "localmim":
            files[backbone, dialect] = folder / f"{backbone}_{dialect}.pth"
            convert_file(files[backbone, "localmim"], files[backbone, dialect], dialect)
    return files


@pytest.mark.parametrize("name", CHAINS)
def test_a_pre_trained_model_is_trained_and_evaluated(name, tmp_path, scenes, weights):
    cfg = short(name, tmp_path, scenes)
    start = weights[CHAINS[name]]
    cfg.model.backbone.init_cfg.checkpoint = str(start)
    runner = RUNNERS.build(cfg)
    runner.train()
    log = next(tmp_path.rglob("*.log")).read_text()
    assert f"tensors loaded from {start}" in log
    assert list(tmp_path.rglob("scalars.json"))  # not in the folder of a training before
    found = runner.val_loop.run()

    again = short(name, tmp_path / "test", scenes)
    again.model.backbone.init_cfg = None
    again.load_from = str(tmp_path / "iter_4.pth")
    metrics = RUNNERS.build(again).test()
    assert metrics.keys() == found.keys() and len(metrics)
    for key, value in found.items():
        assert metrics[key] == pytest.approx(value, abs=1e-6, nan_ok=True), key


@pytest.mark.parametrize(
    ("name", "backbone"),
    [("vit-mini-p8", "vit"), ("r50-mini", "r50"), ("r50-mini", "a2mim-r50")],
)
def test_neighbours_are_found_with_a_checkpoint_of_pre_training(
    name, backbone, tmp_path, scenes, weights
):
    cfg = on_few_scenes(f"knn_{name}_scenes", tmp_path, scenes)
    cfg.model.k = 3
    cfg.load_from = str(weights[backbone, "localmim"])
    assert 0 <= RUNNERS.build(cfg).test()["accuracy/top1"] <= 100


def test_neighbours_are_not_sought_with_another_encoder(tmp_path, scenes, weights):
    cfg = on_few_scenes("knn_vit-mini-p8_scenes", tmp_path, scenes)
    cfg.load_from = str(weights["swin", "localmim"])
    with pytest.raises(ValueError, match="nothing|does not fit|is not of the model"):
        RUNNERS.build(cfg).test()


def test_backbones_of_all_libraries_see_the_same(weights, scenes, tmp_path):
    """One pre-training, three libraries: the last feature map of one image, at which the last
    stage has several windows."""
    images = torch.randn(1, 3, 256, 256).double()
    features = {}
    for name in (
        "swin-mini-w4_1xb32-coslr-300_scenes",
        "upernet_swin-mini-w4_1xb8-coslr-900_scenes",
        "mask-rcnn_swin-mini-w4_fpn_1xb4-coslr-450_scenes",
    ):
        cfg = short(name, tmp_path, scenes)
        init_default_scope(cfg.default_scope)
        cfg.model.backbone.init_cfg.checkpoint = str(weights[CHAINS[name]])
        backbone = MODELS.build(cfg.model.backbone)
        holder = torch.nn.Module()
        holder.backbone, holder.init_weights = backbone, backbone.init_weights
        init_weights(holder)
        backbone.double().eval()
        for norm in backbone.modules():
            if isinstance(norm, torch.nn.LayerNorm):
                norm.eps = 1e-6  # mmpretrain's Swin cannot be told
        with torch.no_grad():
            features[cfg.default_scope] = backbone(images)[-1]
    for scope in ("mmseg", "mmdet"):
        torch.testing.assert_close(features[scope], features["mmpretrain"], rtol=0, atol=1e-9)


def test_images_narrower_than_the_crop_are_padded_for_a_vit():
    cfg = Config.fromfile(DEMO / "upernet_vit-mini-p8_1xb8-coslr-900_scenes.py")
    init_default_scope("mmseg")
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model).eval()
    sample = SegDataSample(metainfo=dict(ori_shape=(40, 150), img_shape=(40, 150)))
    image = torch.randint(0, 256, (3, 40, 150), dtype=torch.uint8)
    (found,) = model.test_step(dict(inputs=[image], data_samples=[sample]))
    assert found.pred_sem_seg.data.shape == (1, 40, 150)


def test_bad_input_is_told_before_training(scenes, weights, tmp_path):
    name = "vit-mini-p8_1xb32-coslr-300_scenes"
    cfg = short(name, tmp_path, scenes)
    with pytest.raises(FileNotFoundError, match="model.backbone.init_cfg.checkpoint: no file"):
        RUNNERS.build(cfg).train()
    cfg = short(name, tmp_path, scenes)
    cfg.model.backbone.init_cfg.checkpoint = str(weights["swin", "localmim"])
    with pytest.raises(ValueError, match="does not fit VisionTransformer.*another architecture"):
        RUNNERS.build(cfg).train()
    cfg = short(name, tmp_path, scenes)
    cfg.train_dataloader.dataset.data_root = str(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match="train_dataloader.dataset.data_root: .*gone"):
        RUNNERS.build(cfg).train()
    cfg = short(name, tmp_path, scenes)
    cfg.model.head.num_classes = cfg.data_preprocessor.num_classes = 9
    with pytest.raises(ValueError, match="has 10 classes .*model.head.num_classes=10"):
        RUNNERS.build(cfg).train()


def test_tests_refuse_checkpoints_of_other_models(scenes, weights, tmp_path):
    cfg = short("vit-mini-p8_1xb32-coslr-300_scenes", tmp_path, scenes)
    cfg.load_from = str(weights["vit", "localmim"])  # without a head
    with pytest.raises(ValueError, match="is not of the model of this config"):
        RUNNERS.build(cfg).test()


def test_the_demo_runs_its_chain_and_ends_with_a_table(tmp_path):
    command = [
        *(sys.executable, "tools/transfer_demo.py", "--tasks", "classification", "--seeds", "1"),
        *("--budget", "0.004", "--jobs", "2"),
        *("--data-dir", tmp_path / "scenes", "--work-dir", tmp_path / "work"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[3/3] classification" in done.stdout
    assert "| classification, top-1 accuracy (%) |" in done.stdout
