"""Training through the runner: resuming, learning rate, checkpoints."""

import re
import shutil
from pathlib import Path

import pytest
import tiny
import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import RUNNERS
from mmpretrain.models.backbones import SwinTransformer, VisionTransformer
from runs import config, run, state

pytestmark = pytest.mark.usefixtures("on_the_cpu")


@pytest.mark.parametrize(
    ("kind", "parent", "settings"),
    [
        ("vit", VisionTransformer, dict(arch=tiny.ARCH, out_type="raw")),
        ("swin", SwinTransformer, dict(arch=tiny.SWIN_ARCH, window_size=2)),
    ],
)
def test_the_encoder_loads_into_the_plain_parent(tmp_path, photo_folder, kind, parent, settings):
    runner = run(config(tmp_path / "work", photo_folder, kind, **{"train_cfg.max_epochs": 2}))
    checkpoint = str(tmp_path / "work/epoch_2.pth")
    plain = parent(
        **settings,
        img_size=64,
        init_cfg=dict(type="Pretrained", checkpoint=checkpoint, prefix="backbone."),
    )
    plain.init_weights()
    images = torch.randn(2, 3, 64, 64)
    for model in (plain, runner.model):
        model.eval()
    with torch.no_grad():
        assert plain(images)[-1].equal(runner.model(images, mode="tensor")[-1])


def test_masks_and_crops_differ_from_epoch_to_epoch(tmp_path, photo_folder):
    # The same picture eight times, so that equal random numbers give equal crops.
    data = tmp_path / "data"
    data.mkdir()
    for number in range(8):
        shutil.copy(photo_folder / "china.jpg", data / f"{number}.jpg")
    runner = RUNNERS.build(config(tmp_path / "work", data))
    crops, masks = [], []

    def record(_module, inputs, mask):
        crops.extend(image.mean().item() for image in inputs[0])
        masks.append(mask.hidden)

    runner.model.mask_generator.register_forward_hook(record)
    runner.train()
    assert len(crops) == 32 == len(set(crops))
    assert len(torch.stack(masks).flatten(1).unique(dim=0)) == 8


def test_learning_rate_counts_processes_batch_and_accumulation(tmp_path, photo_folder):
    cfg = config(
        tmp_path / "work",
        photo_folder,
        **{"optim_wrapper.accumulative_counts": 2, "auto_scale_lr.base_batch_size": 16},
    )
    peak = []
    cfg.train_cfg.max_epochs = 2
    runner = RUNNERS.build(cfg)
    step = OptimWrapper.update_params

    def record(self, *args, **kwargs):
        peak.append(self.optimizer.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OptimWrapper, "update_params", record)
        runner.train()
    # 1 process x 4 images x 2 accumulated is half of the 16 that lr=1.6e-3 is for.
    assert max(peak) == pytest.approx(0.8e-3, rel=1e-6)
    assert peak[0] == pytest.approx(0.8e-9, rel=1e-3)
    assert peak[-1] < 0.6 * max(peak)
    log = next((tmp_path / "work").rglob("*.log")).read_text()
    assert "Total batch 8 = 1 process(es) x 4 images x 2 accumulated" in log
    assert "becomes 0.0008" in log
    logged = re.findall(r"base_lr: (\S+) lr: (\S+)", log)
    assert len(logged) == 4 and all(base == lr for base, lr in logged)


def test_weight_decay_spares_one_dimensional_parameters(tmp_path, photo_folder):
    runner = RUNNERS.build(config(tmp_path / "work", photo_folder))
    wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    decays = {
        id(x): group["weight_decay"]
        for group in wrapper.optimizer.param_groups
        for x in group["params"]
    }
    for name, parameter in runner.model.named_parameters():
        if parameter.requires_grad:
            assert decays.pop(id(parameter)) == (0.05 if parameter.ndim > 1 else 0), name
    assert not decays


def test_checkpoints_that_do_not_fit_are_refused(tmp_path, photo_folder):
    run(config(tmp_path / "work", photo_folder, **{"train_cfg.max_epochs": 2}))
    trained = tmp_path / "work/epoch_2.pth"
    wider = config(tmp_path / "wider", photo_folder, load_from=str(trained), resume=True)
    wider.model.backbone.arch = {**tiny.ARCH, "feedforward_channels": 96}
    with pytest.raises(ValueError, match="epoch_2.pth does not fit.*mismatched"):
        run(wider)
    torch.save({"state_dict": {"something.else": torch.zeros(1)}}, tmp_path / "other.pth")
    other = config(tmp_path / "other", photo_folder, load_from=str(tmp_path / "other.pth"))
    with pytest.raises(ValueError, match="other.pth does not fit.*0 tensors fit"):
        run(other)


def test_a_checkpoint_is_never_half_written(tmp_path, photo_folder, monkeypatch):
    runner = run(config(tmp_path / "work", photo_folder, **{"train_cfg.max_epochs": 2}))
    before = (tmp_path / "work/epoch_2.pth").read_bytes()

    def torn(checkpoint, path):
        Path(path).write_bytes(b"half")
        raise RuntimeError("no space left")

    monkeypatch.setattr("localmim.engine.checkpoint_writer.torch.save", torn)
    with pytest.raises(OSError, match="no space left"):
        runner.save_checkpoint(str(tmp_path / "work"), "epoch_2.pth")
    assert (tmp_path / "work/epoch_2.pth").read_bytes() == before
    assert not list((tmp_path / "work").glob("*partial*"))


def test_empty_folder_and_missing_folder_stop_before_training(tmp_path):
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match="data_root"):
            run(config(tmp_path / "work", place))


@pytest.mark.gpu
def test_mixed_precision_trains_and_resumes_on_a_gpu(tmp_path, photo_folder):
    work = tmp_path / "work"
    runner = run(config(work, photo_folder, **{"train_cfg.max_epochs": 2}))
    assert isinstance(runner.optim_wrapper, AmpOptimWrapper)
    runner = run(config(work, photo_folder, **{"train_cfg.max_epochs": 3, "resume": True}))
    assert runner.epoch == 3
    assert all(x.isfinite().all() for x in state(work / "epoch_3.pth").values())
