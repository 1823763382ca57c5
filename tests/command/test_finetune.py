"""An encoder and labelled images become a classifier, from weights of each family."""

import json

import pytest
import timm
import tiny
import torch
from mmpretrain.registry import MODELS

import localmim
from localmim.analysis import load_encoder
from localmim.analysis.labelled import labelled_folder
from localmim.checkpoints import build_encoder, read_checkpoint
from localmim.command.finetune import finetune_config

NAMES = {
    "vit_tiny_patch16_224": (48, dict(img_size=48)),
    "swin_tiny_patch4_window7_224": (224, {}),
    "resnet50": (96, {}),
    "convnext_tiny": (96, {}),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_head_and_the_encoder_fit_the_weights(tmp_path, labelled, name):
    """The classifier's encoder gives the features of the weights; nothing is left at random."""
    size, settings = NAMES[name]
    model = timm.create_model(name, num_classes=0, **settings)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    cfg = finetune_config(
        labelled_folder(labelled, 1000), tmp_path / "weights.pth", tmp_path, image_size=size
    )
    cfg.model.backbone.pop("drop_path_rate", None)
    classifier = MODELS.build(cfg.model | {"data_preprocessor": cfg.data_preprocessor})
    classifier.init_weights()
    classifier.eval()
    encoder, _ = build_encoder(
        read_checkpoint(tmp_path / "weights.pth").state_dict,
        image_size=(size, size) if "vit" in name or "swin" in name else None,
    )
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        found = classifier.extract_feat(images)[-1]
        expected = encoder(images)[-1]
    found = found.mean((2, 3)) if found.dim() == 4 else found
    expected = expected.mean((2, 3)) if expected.dim() == 4 else expected
    if "convnext" not in name and "vit" not in name:  # whose norms come after pooling
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert classifier.head.fc.in_features == found.shape[1] and classifier.head.num_classes == 2
    assert [
        step.type for step in cfg.val_dataloader.dataset.pipeline if step.get("crop_size") == size
    ]


def test_lomars_encoder_keeps_its_relative_positions(tmp_path, labelled):
    state = MODELS.build(tiny.OTHERS["lomar"]()).state_dict()
    table = "layers.0.attn.irpe.table"
    state[f"backbone.{table}"].normal_()
    cfg = f"model = dict(backbone={tiny.OTHERS['lomar']()['backbone']!r})"
    torch.save({"state_dict": state, "meta": {"cfg": cfg}}, tmp_path / "a.pth")
    cfg = finetune_config(labelled_folder(labelled, 1000), tmp_path / "a.pth", tmp_path)
    classifier = MODELS.build(cfg.model | {"data_preprocessor": cfg.data_preprocessor})
    classifier.init_weights()
    loaded = classifier.backbone.state_dict()
    assert torch.equal(loaded[table], state[f"backbone.{table}"])
    assert classifier.extract_feat(torch.randn(1, 3, 64, 64))[-1].shape == (1, 32)


@pytest.mark.usefixtures("on_the_cpu")
def test_a_classifier_comes_out(tmp_path, labelled):
    model = timm.create_model("vit_tiny_patch16_224", img_size=48)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    none = {f"{loader}_dataloader.num_workers": 0 for loader in ("train", "val")}
    given = dict(image_size=48, epochs=2, batch=9, settings=none)
    said = []
    out = tmp_path / "out"
    found = localmim.finetune(labelled, tmp_path / "weights.pth", out, say=said.append, **given)
    assert found.classes == ("bright", "dark") and found.checkpoint.name.startswith("best_")
    assert set(found.metrics) == {"accuracy/top1", "balanced_accuracy", "auc"}
    assert json.loads((out / "result.json").read_text())["metrics"] == found.metrics
    assert said[0].endswith("; 2 epochs")
    encoder = load_encoder(str(found.checkpoint))  # which embeds, too
    assert encoder.vectors(torch.randn(1, 3, *encoder.image_size)).shape == (1, 192)
