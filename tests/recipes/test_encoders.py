"""The configs behind the names: they exist, and become encoders of the size that is told."""

import re

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from localmim.checkpoints import convert
from localmim.command.places import config_file
from localmim.engine import settle_image_size
from localmim.recipes import (
    ENCODERS,
    FINETUNING,
    METHODS,
    config_of,
    encoder_kind,
    model_options,
)

PAIRS = [
    (method, name)
    for method, families in METHODS.items()
    for name, kind in ENCODERS.items()
    if kind.family in families
]
VITS = [(method, name) for method, name in PAIRS if name.startswith("vit")]
BUILT = [
    ("localmim", "vit-tiny"),
    ("localmim", "vit-small"),
    ("localmim", "swin-tiny"),
    ("localmim", "resnet50"),
    ("localmim", "convnext-tiny"),
    ("greenmim", "swin-tiny"),
    ("a2mim", "resnet50"),
    ("a2mim", "convnext-tiny"),
]
SMALL = [pair for pair in PAIRS if pair[1] == "vit-tiny"]


def config(method, name):
    cfg = Config.fromfile(config_file(config_of(method, encoder_kind(name).family)))
    cfg.merge_from_dict(model_options(method, name))
    settle_image_size(cfg)
    return cfg


def millions(module):
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


def test_every_config_is_there():
    names = [name for families in METHODS.values() for name in families.values()]
    for name in (*names, *FINETUNING.values()):
        assert config_file(name).is_file(), name
    assert set(FINETUNING) == {kind.family for kind in ENCODERS.values()}


@pytest.mark.parametrize("method, name", PAIRS)
def test_options_are_settings_that_the_config_has(method, name):
    cfg = Config.fromfile(config_file(config_of(method, encoder_kind(name).family)))
    for key in model_options(method, name):
        value = cfg
        for part in key.split("."):
            assert part in value, key
            value = value[part]


@pytest.mark.parametrize("method, name", VITS)
def test_sizes_of_vits(method, name):
    with torch.device("meta"):
        encoder = MODELS.build(config(method, name).model.backbone)
    assert millions(encoder) == pytest.approx(ENCODERS[name].millions, rel=0.01)


@pytest.mark.parametrize("method, name", BUILT)
def test_encoders_are_what_they_are_called(method, name):
    encoder, kind = MODELS.build(config(method, name).model.backbone), ENCODERS[name]
    assert millions(encoder) == pytest.approx(kind.millions, rel=0.01)
    state = {f"backbone.{key}": tensor for key, tensor in encoder.state_dict().items()}
    hints = {"image_size": (224, 224)}
    found = convert(state, "mmpretrain", hints=hints, strict=False).architecture
    assert (found.family, found.name) == (kind.family, kind.size)


@pytest.mark.parametrize("method, name", SMALL)
def test_decoders_fit_small_encoders(method, name):
    model = MODELS.build(config(method, name).model)
    print(method, millions(model))
    assert millions(model) < 2 * ENCODERS[name].millions
    losses = model.loss(torch.randn(1, 3, 224, 224))
    assert losses and all(loss.isfinite() for loss in losses.values())


def test_options_can_be_changed_without_harm():
    model_options("localmim", "vit-tiny")["model.backbone.arch"] = "other"
    assert model_options("localmim", "vit-tiny") == {
        "model.backbone.arch": "deit-tiny",
        "model.neck.embed_dims": 128,
        "model.neck.num_heads": 4,
    }
    assert model_options("localmim", "vit-base") == {"model.backbone.arch": "base"}


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_have_their_names(name):
    assert encoder_kind(name) is ENCODERS[name]
    # Every encoder can be trained by somebody.
    assert config_of("localmim", ENCODERS[name].family).startswith("localmim/")


@pytest.mark.parametrize(
    "name, message",
    [
        ("vit-smal", "--arch vit-smal: no encoder has that name; did you mean vit-small"),
        ("resnet-50", "no encoder has that name; did you mean resnet50"),
        ("xyz", f"--arch xyz: no encoder has that name; one of {', '.join(ENCODERS)}"),
    ],
)
def test_other_names_are_answered_by_the_nearest(name, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        encoder_kind(name)


@pytest.mark.parametrize(
    "method, family, message",
    [
        ("maskfeet", "vit", "--method maskfeet: no method has that name; try maskfeat"),
        ("xyz", "vit", f"--method xyz: no method has that name; try {', '.join(METHODS)}"),
        (
            "greenmim",
            "resnet",
            "--method greenmim trains swin-tiny, swin-small, swin-base; for a resnet take "
            "--method localmim or a2mim",
        ),
    ],
)
def test_methods_say_what_they_train(method, family, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        config_of(method, family)
