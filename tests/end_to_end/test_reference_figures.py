"""LocalMIM gives the numbers of the authors' implementation; see tests/reference/README.md."""

import argparse

import pytest
import torch
from mmpretrain.registry import MODELS
from reference_formula import figures, image, noise, released_parameter, summary

from localmim.checkpoints import convert, convert_file, load_from_file, load_into
from localmim.masking import PatchMask

FIGURES = ["localmim_vit_hog", "localmim_swin_hog", "localmim_swin_pixel"]

FIXED = ("pos_embed", "relative_position_index", "hog_enc.")


def vit():
    backbone = dict(
        type="SparseViT",
        arch=dict(embed_dims=96, num_layers=8, num_heads=3, feedforward_channels=384),
        img_size=64,
    )
    neck = dict(type="LocalDecoders", embed_dims=64, num_heads=4)
    return backbone, neck, dict(type="MultiScaleHOG")


def swin(target: str):
    backbone = dict(
        type="ReleasedSwin",
        arch=dict(embed_dims=32, depths=[2, 2, 2, 2], num_heads=[1, 2, 4, 8]),
        norm_eps=1e-6,
    )
    sides = (8, 16, 32, 32)
    target_generator = {
        "hog": dict(type="MultiScaleHOG", cells=sides),
        "pixel": dict(type="MultiScalePixels", patch_sizes=sides),
    }[target]
    neck = dict(type="LocalDecoders", embed_dims=(64, 128, 128, 128), num_heads=4)
    return backbone, neck, target_generator


def build(name: str) -> torch.nn.Module:
    _, kind, target = name.split("_")
    backbone, neck, target_generator = vit() if kind == "vit" else swin(target)
    return MODELS.build(
        dict(
            type="LocalMIM",
            backbone=backbone,
            mask_generator=dict(type="RandomMasking"),
            neck=neck,
            target_generator=target_generator,
            head=dict(type="ReconstructionHead"),
        )
    ).double()


def given_mask(kind: str) -> PatchMask:
    if kind == "vit":
        return PatchMask.from_scores(noise(2, 16).view(2, 4, 4), 4)
    rank = noise(1, 49).argsort(1).view(1, 7, 7)
    return PatchMask.from_hidden(rank <= 36).spread(2, torch.device("cpu"))


def in_released_order(tokens: torch.Tensor, mask: PatchMask, kind: str) -> torch.Tensor:
    """ViT: the class token, then visible tokens by ascending noise (ours ascend by place)."""
    if kind == "swin":
        return tokens
    order = noise(2, 16).gather(1, mask.visible).argsort(1) + 1
    order = torch.cat([torch.zeros_like(order[:, :1]), order], dim=1)
    return tokens.gather(1, order[..., None].expand_as(tokens))


def load_released(model, kind: str, folder) -> None:
    """Give a model the weights of the formula by way of a file as the authors' code writes it."""
    size = (64, 64) if kind == "vit" else (224, 224)
    own = convert(model.state_dict(), "localmim-release", "localmim", hints={"image_size": size})
    released = {
        name: x if any(part in name for part in FIXED) else released_parameter(name, x.shape)
        for name, x in own.state_dict.items()
    }
    settings = argparse.Namespace(model="MIM_vit_base", mask_ratio=0.75)
    content = {"model": released, "optimizer": {}, "epoch": 1599, "scaler": {}, "args": settings}
    torch.save(content, folder / "released.pth")
    conversion, meta = convert_file(folder / "released.pth", folder / "ours.pth", "localmim")
    assert conversion.report.source.startswith("localmim-release") and meta["epochs"] == 1600
    state_dict = load_from_file(folder / "ours.pth")["state_dict"]
    load_into(model, state_dict, "ours.pth")


def released_gradient_norms(model, kind: str) -> dict[str, float]:
    """Reordering moves gradients as it moves weights."""
    gradients = {
        name: torch.zeros_like(x) if x.grad is None else x.grad
        for name, x in model.named_parameters()
    }
    hints = {"image_size": (64, 64) if kind == "vit" else (224, 224)}
    released = convert(gradients, "localmim-release", "localmim", hints=hints).state_dict
    return {name: x.double().norm().item() for name, x in released.items()}


@pytest.fixture(scope="module", params=FIGURES)
def run(request, tmp_path_factory):
    """What our model gives, and the authors' figures."""
    kind = request.param.split("_")[1]
    model = build(request.param)
    load_released(model, kind, tmp_path_factory.mktemp(request.param))
    images = image(64, 64) if kind == "vit" else image(224, 224)
    mask = given_mask(kind)
    taps = model.backbone(images, mask)
    # The figures hold the taps after their norms; a ViT's are the first layers of the decoders.
    latent = [d.input_norm(x) for d, x in zip(model.neck.decoders, taps, strict=True)]
    predictions, targets = model.reconstruct(images, mask)
    losses = model.head.loss(predictions, targets, mask)
    sum(losses.values()).backward()
    result = dict(
        mask=mask,
        latent=[in_released_order(x, mask, kind) for x in latent],
        pred=[x.flatten(2).transpose(1, 2) for x in predictions],
        target=[x.flatten(2).transpose(1, 2) for x in targets],
        losses=[x.item() for x in losses.values()],
        grad_norm=released_gradient_norms(model, kind),
    )
    return result, figures(request.param)


def test_mask(run):
    result, expected = run
    hidden = result["mask"].hidden[0].flatten().int().tolist()
    assert hidden == expected.get("mask_row0", expected.get("mask"))


def test_losses(run):
    result, expected = run
    assert result["losses"] == pytest.approx(expected["losses"], rel=1e-9)
    assert sum(result["losses"]) == pytest.approx(expected["loss"], rel=1e-9)


@pytest.mark.parametrize("kind", ["latent", "pred", "target"])
@pytest.mark.parametrize("tap", range(4))
def test_maps(run, kind, tap):
    result, expected = run
    found, reference = summary(result[kind][tap]), expected[kind][tap]
    assert found["shape"] == reference["shape"]
    for name in ("mean", "std", "first", "last"):
        # The mean of values around 0.5 to 1 that cancel is held to their scale.
        assert found[name] == pytest.approx(reference[name], rel=1e-9, abs=1e-12)


def test_gradient_norms(run):
    result, expected = run
    for name, reference in expected["grad_norm"].items():
        assert result["grad_norm"][name] == pytest.approx(reference, rel=1e-8)
