"""Fine-tuning, segmentation and detection as in the authors' releases, setting by setting: what
decays, clipping, first weights of heads, schedules, averages of weights. (Rates and lengths:
test_transfer_configs.py.)"""

import math
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from mmdet.models.backbones import SwinTransformer as DetectionSwin
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS, init_default_scope
from mmseg.models.backbones import SwinTransformer as SegmentationSwin
from torch import nn

pytestmark = pytest.mark.usefixtures("freed")

CONFIGS = Path(__file__).parents[1] / "configs"
SWINS = sorted(CONFIGS.glob("finetune/swin-*_localmim-*_in1k.py"))
AVERAGED = {
    "resnet50_a2mim-pre_8xb256-amp-rsb-a2-300e_in1k": 0.9999,
    "vit-base-p16_a2mim-800e-pre_8xb128-amp-coslr-100e_in1k": 0.99996,
    "vit-small-p16_a2mim-800e-pre_8xb128-amp-coslr-100e_in1k": 0.99996,
}


def fine_tuning(name):
    return Config.fromfile(CONFIGS / f"finetune/{name}.py")


def decays(cfg):
    """{name of a parameter that is no vector: weight decay}."""
    init_default_scope(cfg.default_scope)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    groups = {id(p): group for group in wrapper.optimizer.param_groups for p in group["params"]}
    return {n: groups[id(p)]["weight_decay"] for n, p in model.named_parameters() if p.ndim > 1}


@pytest.mark.parametrize("path", SWINS, ids=[path.stem for path in SWINS])
def test_localmim_on_a_swin(path):
    cfg = Config.fromfile(path)
    assert "clip_grad" not in cfg.optim_wrapper
    assert cfg.model.head.init_cfg == dict(type="TruncNormal", layer="Linear", std=2e-5)
    assert cfg.model.backbone.norm_cfg.eps == 1e-6


def test_localmims_bias_tables_decay_on_a_swin_and_those_of_a2mim_do_not():
    swin = decays(Config.fromfile(SWINS[0]))
    assert set(swin.values()) == {0.05} and sum("bias_table" in name for name in swin) == 24
    vit = decays(fine_tuning("vit-small-p16_a2mim-800e-pre_8xb128-amp-coslr-100e_in1k"))
    free = [name.rpartition(".")[2] for name, decay in vit.items() if not decay]
    assert sorted(set(free)) == ["cls_token", "pos_embed", "relative_position_bias_table"]
    assert free.count("relative_position_bias_table") == 12


def test_the_vits_of_a2mim():
    cfg = fine_tuning("vit-base-p16_a2mim-800e-pre_8xb128-amp-coslr-100e_in1k")
    assert cfg.optim_wrapper.clip_grad == dict(max_norm=5.0)
    assert cfg.model.head.init_cfg == dict(type="Normal", layer="Linear", std=0.01)
    # One mix a batch: RandomBatchAugment chooses one of them.
    assert [mix.type for mix in cfg.model.train_cfg.augments] == ["Mixup", "CutMix"]


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("finetune/*.py")), ids=lambda path: path.stem)
def test_weights_are_averaged_where_a2mim_averages_them(path):
    hooks = Config.fromfile(path).custom_hooks
    averages = [hook for hook in hooks if hook.type == "EMAHook"]
    assert [hook.type for hook in hooks[:2]] == ["DataCheckHook", "UnusableImagesHook"]
    assert [1 - hook.momentum for hook in averages] == pytest.approx(
        [AVERAGED[path.stem]] if path.stem in AVERAGED else []
    )


def rates(cfg, epoch_length):
    """The rate of every iteration, by mmengine's schedulers."""
    epochs = cfg.train_cfg.max_epochs
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=cfg.optim_wrapper.optimizer.lr)
    schedulers = []
    for settings in deepcopy(cfg.param_scheduler):
        kind = PARAM_SCHEDULERS.get(settings.pop("type"))
        by_iteration = settings.pop("convert_to_iter_based", False)
        settings.setdefault("end", epochs)
        make = kind
        if by_iteration:
            make, settings.epoch_length = kind.build_iter_from_epoch, epoch_length
        schedulers.append(make(optimizer, **settings))
    found = []
    for iteration in range(epochs * epoch_length):
        found.append(optimizer.param_groups[0]["lr"])
        for scheduler in schedulers:
            if not scheduler.by_epoch or (iteration + 1) % epoch_length == 0:
                optimizer.step()
                scheduler.step()
    return found


@pytest.mark.parametrize(
    ("name", "from_epoch_to_epoch"),
    [
        ("resnet50_a2mim-pre_8xb256-amp-rsb-a2-300e_in1k", True),
        ("resnet50_a2mim-pre_8xb256-amp-rsb-a3-100e_in1k", True),
        ("resnet101_a2mim-pre_8xb256-amp-rsb-a2-300e_in1k", True),
        ("resnet101_a2mim-pre_8xb256-amp-rsb-a3-100e_in1k", True),
        ("convnext-tiny_a2mim-pre_8xb256-amp-rsb-a3-100e_in1k", False),
    ],
)
def test_the_rates_of_rsb_are_those_of_mmcvs_plain_cosine(name, from_epoch_to_epoch):
    """A cosine over the whole training, times a linear ramp in the first five epochs."""
    cfg, length = fine_tuning(name), 10
    epochs, peak = cfg.train_cfg.max_epochs, cfg.optim_wrapper.optimizer.lr
    for iteration, rate in enumerate(rates(cfg, length)):
        done = iteration // length * length if from_epoch_to_epoch else iteration
        cosine = 0.5 * (1 + math.cos(math.pi * done / (epochs * length)))
        ramp = 1e-5 + (1 - 1e-5) * min(1, iteration / (5 * length - 1))
        assert rate == pytest.approx((1e-6 + (peak - 1e-6) * cosine) * ramp, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "kind", "eps"),
    [
        # LocalMIM's segmentation code has the plain Swin's norms; of detection there is none.
        ("segmentation/upernet_swin-base-w7_8xb2-amp-160k_ade20k-512x512", SegmentationSwin, 1e-5),
        ("detection/mask-rcnn_swin-base-w7_fpn_8xb2-amp-1x_coco", DetectionSwin, 1e-6),
    ],
)
def test_norms_and_decay_of_a_swin_downstream(name, kind, eps):
    cfg = Config.fromfile(CONFIGS / f"{name}.py", import_custom_modules=False)
    settings = dict(cfg.model.backbone, init_cfg=None)
    assert settings.pop("type") == "SwinTransformer"
    backbone = kind(**settings)
    norms = [module for module in backbone.modules() if isinstance(module, nn.LayerNorm)]
    assert {norm.eps for norm in norms} == {eps}
    wrapper = build_optim_wrapper(backbone, cfg.optim_wrapper)
    groups = {id(p): group for group in wrapper.optimizer.param_groups for p in group["params"]}
    of_norms = {id(p) for norm in norms for p in norm.parameters()}
    for parameter, p in backbone.named_parameters():
        free = id(p) in of_norms or parameter.endswith("relative_position_bias_table")
        decay = 0.0 if free else cfg.optim_wrapper.optimizer.weight_decay
        assert groups[id(p)]["weight_decay"] == decay, parameter


def test_detection_with_a_resnet_as_a2mim_has_it():
    path = CONFIGS / "detection/mask-rcnn_r50_fpn_8xb2-amp-1x_coco.py"
    cfg = Config.fromfile(path, import_custom_modules=False)
    steps = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert steps["RandomChoiceResize"].scales == [(1333, side) for side in range(640, 801, 32)]
    assert "Resize" not in steps and "Resize" in {s.type for s in cfg.test_pipeline}
    heads = cfg.model.roi_head
    assert heads.bbox_head.type == "Shared4Conv1FCBBoxHead"
    for part in (cfg.model.backbone, cfg.model.neck, heads.bbox_head, heads.mask_head):
        assert part.norm_cfg.type == "SyncBN"
    assert (cfg.model.backbone.frozen_stages, cfg.model.backbone.norm_eval) == (-1, False)
    assert cfg.optim_wrapper.optimizer == dict(type="SGD", lr=0.02, momentum=0.9, weight_decay=1e-4)


@pytest.mark.parametrize("encoder", ["vit-base-p16_localmim-1600e", "swin-base-w7_localmim-400e"])
def test_linear_probing_as_mae_has_it(encoder):
    cfg = fine_tuning(f"linear_{encoder}-pre_8xb2048-amp-coslr-90e_in1k")
    optimizer, (warmup, decay) = cfg.optim_wrapper.optimizer, cfg.param_scheduler
    assert optimizer == dict(type="LARS", lr=6.4, momentum=0.9, weight_decay=0.0)
    assert cfg.auto_scale_lr.base_batch_size == 16384  # 0.1 for a batch of 256
    assert (cfg.train_cfg.max_epochs, warmup.end, decay.eta_min) == (90, 10, 0.0)
    assert cfg.model.head.init_cfg == dict(type="TruncNormal", layer="Linear", std=0.01)
    assert cfg.model.get("train_cfg") is None
    steps = [step.type for step in cfg.train_dataloader.dataset.pipeline]
    assert steps == ["LoadImageFromFile", "RandomResizedCrop", "RandomFlip", "PackInputs"]
    neck = cfg.model.neck[-1] if isinstance(cfg.model.neck, list) else cfg.model.neck
    norm = MODELS.build(neck).bn
    assert not norm.affine and norm.eps == 1e-6
