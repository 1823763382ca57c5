"""Every full-size transfer config takes pre-trained weights and a training step.

The architectures are the true ones. Images are small, where the architecture allows it, and there
are two of them: what is left is minutes of work for two cores. A process stays below 3 GB: files
hold half precision, and the gradients of large matrices are looked at and dropped: with the
optimiser's moments those of a ViT-L would take three times the model.
"""

import re
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from memory import give_memory_back, return_large_blocks
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData
from mmpretrain.models.backbones import BEiTViT, ConvNeXt, ResNet
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample
from repeated_numbers import repeated_numbers

from localmim.checkpoints import convert_file, init_weights
from localmim.models import IRPEViT, SparseSwin, SparseViT

pytestmark = pytest.mark.usefixtures("freed")

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(
    path
    for kind in ("finetune", "segmentation", "detection")
    for path in ROOT.glob(f"configs/{kind}/*.py")
)
ENCODERS = {
    "vit-small-p16": lambda: SparseViT("deit-small"),
    "vit-base-p16": lambda: SparseViT("base"),
    "vit-large-p16": lambda: SparseViT("large"),
    "swin-tiny-w7": lambda: SparseSwin("tiny"),
    "swin-base-w7": lambda: SparseSwin("base"),
    "swin-large-w14": lambda: SparseSwin("large", window_size=14),
    "r50": lambda: ResNet(50),
    "resnet50": lambda: ResNet(50),
    "resnet101": lambda: ResNet(101),
    "convnext-tiny": lambda: ConvNeXt("tiny", gap_before_final_norm=False),
    "vit-base-p16_lomar": lambda: IRPEViT("base"),
    "vit-small-p16_a2mim": lambda: pretrained_beit("deit-small"),
    "vit-base-p16_a2mim": lambda: pretrained_beit("base"),
}
DIALECTS = {
    ("segmentation", "vit-base-p16"): "mmseg-mae",
    ("segmentation", "swin-base-w7"): "mmseg",
    ("detection", "swin-base-w7"): "mmdet",
    ("detection", "r50"): "mmdet",
}
# What a downstream encoder starts by itself.
OWN = {
    "mmpretrain": r"ln2\.",
    "mmseg": r"norm[0-2]\.|.*relative_position_index",
    "mmdet": r"norm[0-2]\.|.*relative_position_index|.*rel_pos_[hw]",
}


def pretrained_beit(arch):
    """As pre-training leaves it: a norm after all tokens, and none after pooling."""
    return BEiTViT(arch, use_abs_pos_emb=True, final_norm=True, out_type="featmap")


def encoder_of(path):
    return max((name for name in ENCODERS if name in path.stem), key=len)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Give the file of an encoder's random weights, of which one is kept at a time."""
    folder = tmp_path_factory.mktemp("encoders")
    kept = {}

    def make(name):
        if name not in kept:
            for file in [*kept.values()]:
                file.unlink()
            kept.clear()
            kept[name] = write_encoder(name, folder)
        return kept[name]

    return make


def write_encoder(name, folder):
    """Write random weights of an encoder in half precision."""
    init_default_scope("mmpretrain")
    with repeated_numbers(), torch.no_grad():
        encoder = ENCODERS[name]()
        for parameter in encoder.parameters():
            parameter.normal_(std=0.02)
    state = {
        f"backbone.{key}": x.half() if x.is_floating_point() else x
        for key, x in encoder.state_dict().items()
    }
    torch.save({"state_dict": state}, folder / f"{name}.pth")
    del encoder, state, parameter
    give_memory_back()
    return folder / f"{name}.pth"


def classification_batch(cfg):
    backbone = cfg.model.backbone
    size = 64 if backbone.type == "VisionTransformer" else backbone.get("img_size", 64)
    labels = (0, cfg.data_preprocessor.num_classes - 1)
    return dict(
        inputs=torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8),
        data_samples=[DataSample().set_gt_label(label) for label in labels],
    )


def segmentation_batch(cfg):
    size = cfg.model.data_preprocessor.size
    samples = []
    for _ in range(2):
        sample = SegDataSample(metainfo=dict(img_shape=size, ori_shape=size))
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 150, (1, *size)))
        samples.append(sample)
    images = [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for _ in samples]
    return dict(inputs=images, data_samples=samples)


def detection_batch(cfg):
    height, width = 64, 96
    samples = []
    for _ in range(2):
        shape = (height, width)
        sample = DetDataSample(metainfo=dict(img_shape=shape, ori_shape=shape, scale_factor=(1, 1)))
        masks = np.zeros((2, *shape), np.uint8)
        masks[0, 5:35, 10:45], masks[1, 30:60, 50:90] = 1, 1
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor([[10.0, 5, 45, 35], [50, 30, 90, 60]]),
            labels=torch.tensor([0, 79]),
            masks=BitmapMasks(masks, *shape),
        )
        sample.ignored_instances = InstanceData(
            bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long)
        )
        samples.append(sample)
    images = [torch.randint(0, 256, (3, height, width), dtype=torch.uint8) for _ in samples]
    return dict(inputs=images, data_samples=samples)


BATCHES = {
    "mmpretrain": classification_batch,
    "mmseg": segmentation_batch,
    "mmdet": detection_batch,
}


def small_images(cfg, name):
    """Crops of 64 pixels for segmentation, padding to 32 and fewer regions for detection: nothing
    learnt differs in number but the ViT's positions."""
    if cfg.default_scope == "mmseg":
        cfg.model.data_preprocessor.size = (64, 64)
        if name.startswith("vit"):
            cfg.model.backbone.img_size = (64, 64)
    if cfg.default_scope == "mmdet":
        cfg.model.data_preprocessor.pad_size_divisor = 32
        cfg.model.train_cfg.rcnn.sampler.num = 32


LARGE = 100_000


def drop_large_gradients(model):
    """Have them dropped as soon as they are there, and give the names of those that are not."""
    missing = set()

    def drop(name, parameter):
        assert parameter.grad.sum().isfinite(), name
        missing.discard(name)
        parameter.grad = None

    for name, parameter in model.named_parameters():
        if parameter.requires_grad and parameter.numel() > LARGE:
            missing.add(name)
            parameter.register_post_accumulate_grad_hook(partial(drop, name))
    return missing


@pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
def test_weights_arrive_and_a_step_trains(path, checkpoint, tmp_path):
    name = encoder_of(path)
    if "large" not in name:
        check_arrival_and_step(path, checkpoint(name), tmp_path)
        return
    # In a process that holds less than this one does after other files.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        pool.submit(check_large, path, tmp_path).result()


def check_large(path, folder):
    return_large_blocks()
    torch.manual_seed(0)
    check_arrival_and_step(path, write_encoder(encoder_of(path), folder), folder)


def check_arrival_and_step(path, source, tmp_path):
    """Weights of a file arrive in a config's model, tensor by tensor, and a step changes it."""
    name = encoder_of(path)
    cfg = Config.fromfile(path)
    small_images(cfg, name)
    if dialect := DIALECTS.get((path.parent.name, name)):
        size = (64, 64) if dialect == "mmseg-mae" else None
        convert_file(source, tmp_path / "converted.pth", dialect, "localmim", image_size=size)
        source = tmp_path / "converted.pth"
    init_default_scope(cfg.default_scope)
    cfg.model.backbone.init_cfg.checkpoint = str(source)
    if cfg.default_scope == "mmpretrain":
        cfg.model.data_preprocessor = cfg.data_preprocessor
    with repeated_numbers():
        model = revert_sync_batchnorm(ROOT_MODELS.build(cfg.model))
        report = init_weights(model)["backbone"]

    state = model.backbone.state_dict()
    stored = {n.removeprefix("backbone."): x for n, x in torch.load(source)["state_dict"].items()}
    own = r".*relative_position" if dialect == "mmseg-mae" else OWN[cfg.default_scope]
    for tensor in state:
        if tensor in report.resized:
            assert tensor == "pos_embed"
        elif not re.match(own, tensor):
            assert state[tensor].equal(stored[tensor]), tensor
    assert len(report.loaded) + len(report.resized) + len(report.own) == len(state)

    if path.stem.startswith("knn"):
        return
    del stored, state
    cfg.optim_wrapper.accumulative_counts = 1
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    missing = drop_large_gradients(model)
    small = [x for x in model.backbone.parameters() if x.numel() <= LARGE]
    before = [x.detach().clone() for x in small]
    model.train()
    losses = model.train_step(BATCHES[cfg.default_scope](cfg), optim_wrapper)
    assert all(x.isfinite().all() for x in losses.values())
    assert not missing
    moved = any(not x.equal(y) for x, y in zip(small, before, strict=True))
    assert moved == (not path.stem.startswith("linear"))


# Published settings: batch, lr, least lr, layer decay, drop path, warm-up, epochs, window
# (Wang et al. 2023 and their release).
FINE_TUNING = {
    "vit-base-p16_localmim-1600e-pre": (1024, 2e-3, 1e-5, 0.65, 0.1, 20, 100),
    "vit-base-p16_localmim-100e-pre": (1024, 4e-3, 1e-6, 0.75, 0.1, 20, 100),
    "vit-large-p16_localmim-800e-pre": (1024, 3e-3, 1e-6, 0.75, 0.2, 5, 50),
    "swin-base-w7_localmim-pixel-400e-pre": (1024, 4e-3, 2.5e-7, 0.9, 0.1, 20, 100),
    "swin-base-w7_localmim-400e-pre": (2048, 4e-3, 2.5e-7, 0.9, 0.1, 20, 100),
    "swin-base-w7_localmim-100e-pre": (2048, 5e-3, 2.5e-7, 0.9, 0.1, 20, 100),
    "swin-large-w14_localmim-800e-pre": (2048, 2e-3, 2.5e-7, 0.8, 0.3, 20, 100),
    # Li et al. 2023, from their release.
    "vit-base-p16_a2mim-800e-pre": (1024, 1e-2, 1e-6, 0.65, 0.1, 20, 100),
    "vit-small-p16_a2mim-800e-pre": (1024, 1e-2, 1e-6, 0.65, 0.1, 20, 100),
}


@pytest.mark.parametrize("name", FINE_TUNING)
def test_the_papers_fine_tuning(name):
    (path,) = [path for path in CONFIGS if path.stem.startswith(f"{name}_")]
    cfg = Config.fromfile(path)
    found = (
        cfg.auto_scale_lr.base_batch_size,
        cfg.optim_wrapper.optimizer.lr,
        pytest.approx(cfg.param_scheduler[1].eta_min_ratio * cfg.optim_wrapper.optimizer.lr),
        cfg.optim_wrapper.paramwise_cfg.layer_decay_rate,
        cfg.model.backbone.drop_path_rate,
        cfg.param_scheduler[0].end,
        cfg.train_cfg.max_epochs,
    )
    assert found == FINE_TUNING[name]
    processes, batch = map(int, re.search(r"_(\d+)xb(\d+)-", path.stem).groups())
    accumulated = cfg.optim_wrapper.get("accumulative_counts", 1)
    assert processes * batch * accumulated == cfg.auto_scale_lr.base_batch_size


# "ResNet strikes back" (Wightman et al. 2021): lr, epochs, crop, RandAugment's magnitude, sampler.
RSB = {
    "rsb-a2": (5e-3, 300, 224, 7, "RepeatAugSampler"),
    "rsb-a3": (8e-3, 100, 160, 6, "DefaultSampler"),
}
# Stochastic depth is the part that A2MIM's release chooses by architecture.
RSB_DROP_PATH = {
    "resnet50_a2mim-pre_8xb256-amp-rsb-a2-300e_in1k": 0.05,
    "resnet50_a2mim-pre_8xb256-amp-rsb-a3-100e_in1k": 0.0,
    "resnet101_a2mim-pre_8xb256-amp-rsb-a2-300e_in1k": 0.1,
    "resnet101_a2mim-pre_8xb256-amp-rsb-a3-100e_in1k": 0.0,
    "convnext-tiny_a2mim-pre_8xb256-amp-rsb-a3-100e_in1k": 0.1,
}


@pytest.mark.parametrize("name", RSB_DROP_PATH)
def test_the_rsb_recipes(name):
    cfg = Config.fromfile(ROOT / "configs/finetune" / f"{name}.py")
    optimizer, dataset = cfg.optim_wrapper.optimizer, cfg.train_dataloader.dataset
    steps = {step.type: step for step in dataset.pipeline}
    augment = steps["RandAugment"]
    found = (
        optimizer.lr,
        cfg.train_cfg.max_epochs,
        steps["RandomResizedCrop"].scale,
        augment.magnitude_level,
        cfg.train_dataloader.sampler.type,
    )
    assert found == RSB[re.search(r"rsb-a[23]", name).group()]
    assert cfg.model.backbone.get("drop_path_rate", 0.0) == RSB_DROP_PATH[name]
    # What A2 and A3 share.
    assert (optimizer.type, optimizer.weight_decay) == ("Lamb", 0.02)
    assert (cfg.train_dataloader.batch_size, cfg.auto_scale_lr.base_batch_size) == (256, 2048)
    warmup, decay = cfg.param_scheduler
    assert (warmup.start_factor, warmup.end, decay.eta_min) == (1e-5, 5, 1e-6)
    assert (augment.num_policies, augment.magnitude_std, augment.total_level) == (2, 0.5, 10)
    assert "RandomErasing" not in steps
    assert [(mix.type, mix.alpha) for mix in cfg.model.train_cfg.augments] == [
        ("Mixup", 0.1),
        ("CutMix", 1.0),
    ]
    assert cfg.model.head.loss == dict(type="CrossEntropyLoss", use_sigmoid=True)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        test = {step.type: step for step in loader.dataset.pipeline}
        assert (test["ResizeEdge"].scale, test["CenterCrop"].crop_size) == (236, 224)


@pytest.mark.parametrize("encoder", ["resnet50", "convnext-tiny"])
def test_rsb_decays_matrices_and_kernels_only(encoder):
    init_default_scope("mmpretrain")
    path = next(path for path in CONFIGS if path.stem.startswith(f"{encoder}_a2mim"))
    cfg = Config.fromfile(path)
    cfg.model.backbone.init_cfg = None
    model = ROOT_MODELS.build(cfg.model)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    decays = {
        id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]
    }
    for name, parameter in model.named_parameters():
        assert decays[id(parameter)] == (0.02 if parameter.ndim > 1 else 0.0), name


def test_a_fine_tuned_vits_learning_rates_fall_towards_its_patches():
    init_default_scope("mmpretrain")
    cfg = Config.fromfile(
        next(path for path in CONFIGS if path.stem.startswith("vit-base-p16_localmim-1600e"))
    )
    cfg.model.backbone.init_cfg = None
    model = ROOT_MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    rates = {group["param_name"]: group["lr"] for group in wrapper.optimizer.param_groups}
    assert rates["head.fc.weight"] == pytest.approx(2e-3)
    assert rates["backbone.layers.11.ffn.layers.1.weight"] == pytest.approx(2e-3 * 0.65)
    assert rates["backbone.patch_embed.projection.weight"] == pytest.approx(2e-3 * 0.65**13)


def test_segmentation_and_detection_recipes():
    """Taps, schedules and tests as published, where the spec of a method has them."""
    by_name = {
        path.stem: Config.fromfile(path) for path in CONFIGS if path.parent.name != "finetune"
    }
    vit = by_name["upernet_vit-base-p16_8xb2-amp-160k_ade20k-512x512"]
    assert vit.model.backbone.out_indices == [1, 3, 9, 11]
    assert (vit.optim_wrapper.optimizer.lr, vit.optim_wrapper.paramwise_cfg.decay_rate) == (
        4e-4,
        0.65,
    )
    assert vit.model.test_cfg.mode == "slide" and tuple(vit.model.test_cfg.stride) == (341, 341)
    swin = by_name["upernet_swin-base-w7_8xb2-amp-160k_ade20k-512x512"]
    assert (swin.optim_wrapper.optimizer.lr, swin.optim_wrapper.optimizer.weight_decay) == (
        6e-5,
        0.01,
    )
    assert swin.model.test_cfg.mode == "whole" and swin.model.decode_head.channels == 512
    long = by_name["mask-rcnn_swin-base-w7_fpn_8xb2-amp-ms-crop-3x_coco"]
    assert (long.train_cfg.max_epochs, long.param_scheduler[1].milestones) == (36, [27, 33])
    assert (long.optim_wrapper.optimizer.lr, long.optim_wrapper.optimizer.weight_decay) == (
        1e-4,
        0.05,
    )
