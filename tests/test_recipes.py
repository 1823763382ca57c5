"""Pre-training as in the authors' releases: what decays and how fast it learns, least rates, crops
and first weights. (Batches, rates and lengths: test_configs.py.)"""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmpretrain.registry import MODELS

pytestmark = pytest.mark.usefixtures("freed")

CONFIGS = Path(__file__).parents[1] / "configs"
SWINS = sorted(CONFIGS.glob("localmim/localmim_swin-*_in1k.py"))
A2MIM = sorted(CONFIGS.glob("a2mim/*.py"))


def named(paths):
    return dict(argvalues=paths, ids=[path.stem for path in paths])


def settings(path):
    """(model, {name of a parameter: (rate relative to the config's, weight decay)})."""
    cfg = Config.fromfile(path)
    model = MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    groups = {id(p): group for group in wrapper.optimizer.param_groups for p in group["params"]}
    rate = cfg.optim_wrapper.optimizer.lr
    return model, {
        name: (groups[id(p)]["lr"] / rate, groups[id(p)]["weight_decay"])
        for name, p in model.named_parameters()
        if p.requires_grad
    }


def without_decay(path):
    """Last parts of the names of matrices, kernels and tables that do not decay, and how many."""
    model, found = settings(path)
    counts = {}
    for name, parameter in model.named_parameters():
        if name in found and parameter.ndim > 1 and not found[name][1]:
            leaf = name.rpartition(".")[2]
            counts[leaf] = counts.get(leaf, 0) + 1
        elif name in found:
            assert found[name][1] == (0.05 if parameter.ndim > 1 else 0.0), name
    return counts


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # 24 blocks of a Swin-B, 12 of a Swin-T; four decoders or GreenMIM's one.
        (
            "localmim/localmim_swin-base-w7_8xb256-amp-coslr-400e_in1k",
            dict(relative_position_bias_table=24, mask_token=4),
        ),
        (
            "localmim/localmim_swin-tiny-w7_8xb256-amp-coslr-100e_in1k",
            dict(relative_position_bias_table=12, mask_token=4),
        ),
        (
            "baselines/greenmim_swin-base-w7_8xb256-amp-coslr-800e_in1k",
            dict(relative_position_bias_table=24, mask_token=1),
        ),
        (
            "a2mim/a2mim_vit-base-p16_8xb256-amp-steplr-800e_in1k",
            dict(relative_position_bias_table=12, mask_token=1, cls_token=1, pos_embed=1),
        ),
        ("a2mim/a2mim_resnet50_8xb256-amp-coslr-300e_in1k", dict(mask_token=1)),
        ("a2mim/a2mim_resnet50_8xb256-amp-coslr-100e_in1k", dict(mask_token=1, mask_gamma=1)),
        ("a2mim/a2mim_resnet101_8xb256-amp-coslr-300e_in1k", dict(mask_token=1)),
        ("a2mim/a2mim_convnext-tiny_8xb256-amp-coslr-300e_in1k", dict(mask_token=1, mask_gamma=1)),
    ],
)
def test_what_does_not_decay_besides_vectors(name, expected):
    assert without_decay(CONFIGS / f"{name}.py") == expected


@pytest.mark.parametrize(
    ("name", "slow"),
    [
        ("resnet50_8xb256-amp-coslr-300e", {"backbone.mask_token"}),
        ("resnet50_8xb256-amp-coslr-100e", {"backbone.mask_token", "backbone.mask_gamma"}),
        ("convnext-tiny_8xb256-amp-coslr-300e", {"backbone.mask_token", "backbone.mask_gamma"}),
        ("vit-small-p16_8xb256-amp-steplr-800e", set()),
    ],
)
def test_what_learns_at_a_tenth_of_the_rate_in_a2mim(name, slow):
    _, found = settings(CONFIGS / f"a2mim/a2mim_{name}_in1k.py")
    for parameter, (rate, _) in found.items():
        assert rate == pytest.approx(0.1 if parameter in slow else 1.0), parameter


@pytest.mark.parametrize("path", **named(SWINS))
def test_localmim_on_a_swin_ends_at_rate_zero(path):
    assert Config.fromfile(path).param_scheduler[1].eta_min == 0.0


def test_greenmim():
    cfg = Config.fromfile(CONFIGS / "baselines/greenmim_swin-base-w7_8xb256-amp-coslr-800e_in1k.py")
    optimizer, (warmup, decay) = cfg.optim_wrapper.optimizer, cfg.param_scheduler
    assert optimizer.lr == 8e-4 and cfg.auto_scale_lr.base_batch_size == 2048
    assert (optimizer.betas, optimizer.weight_decay) == ((0.9, 0.95), 0.05)
    assert (cfg.train_cfg.max_epochs, warmup.end, decay.eta_min) == (800, 40, 0.0)
    assert cfg.train_dataloader.dataset.pipeline[0].crop_ratio_range == (0.2, 1.0)


@pytest.mark.parametrize("path", **named(A2MIM))
def test_a2mims_crops_and_first_weights_of_the_decoder(path):
    cfg = Config.fromfile(path)
    crop = cfg.train_dataloader.dataset.pipeline[0]
    assert (crop.type, crop.interpolation) == ("LoadRandomResizedCrop", "bilinear")
    neck = MODELS.build(cfg.model).neck
    neck.init_weights()
    assert neck.pred.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert not neck.pred.bias.any()
