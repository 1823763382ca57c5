"""LocalMIM gives the numbers of the authors' implementation; see tests/reference/README.md."""

import re

import pytest
import torch
from mmpretrain.registry import MODELS
from reference_formula import figures, image, noise, released_parameter, summary

from localmim.masking import PatchMask

RENAMED = [
    (r"^backbone\.layers\.(\d+)\.ln(\d)", r"blocks.\1.norm\2"),
    (r"^backbone\.layers\.", "blocks."),
    (r"ffn\.layers\.0\.0", "mlp.fc1"),
    (r"ffn\.layers\.1", "mlp.fc2"),
    (r"^backbone\.patch_embed\.projection", "patch_embed.proj"),
    (r"^backbone\.ln1", "norm.3"),
    (r"^backbone\.", ""),
    (r"^neck\.decoders\.(\d)\.input_norm", r"norm.\1"),
    (r"^neck\.decoders\.(\d)\.blocks\.0\.ln", r"decoder.\1.blocks.0.norm"),
    (r"^neck\.decoders\.0\.pred", "decoder.0.pred.4"),
    (r"^neck\.decoders\.1\.pred", "decoder.1.pred.1"),
    (r"^neck\.decoders\.2\.pred", "decoder.2.pred.0"),
    (r"^neck\.decoders\.3\.pred", "decoder.3.pred.1"),
    (r"^neck\.decoders\.(\d)\.rescale", r"decoder.\1.pred"),
    (r"^neck\.decoders\.", "decoder."),
]


def released_name(name: str) -> str:
    for pattern, replacement in RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def in_released_order(tokens: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """The class token, then visible tokens by ascending noise (ours ascend by place)."""
    order = scores.argsort(1) + 1
    order = torch.cat([torch.zeros_like(order[:, :1]), order], dim=1)
    return tokens.gather(1, order[..., None].expand_as(tokens))


@pytest.fixture(scope="module")
def result():
    model = MODELS.build(
        dict(
            type="LocalMIM",
            backbone=dict(
                type="SparseViT",
                arch=dict(embed_dims=96, num_layers=8, num_heads=3, feedforward_channels=384),
                img_size=64,
            ),
            mask_generator=dict(type="RandomMasking"),
            neck=dict(
                type="LocalDecoders", in_channels=96, out_channels=27, embed_dims=64, num_heads=4
            ),
            target_generator=dict(type="MultiScaleHOG"),
            head=dict(type="ReconstructionHead"),
        )
    ).double()
    parameters = {released_name(n): p for n, p in model.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(released_parameter(name, tuple(parameter.shape)))
    images, scores = image(64, 64), noise(2, 16)
    mask = PatchMask.from_scores(scores.view(2, 4, 4), 4)
    taps = model.backbone(images, mask)
    # The figures hold the taps after their norms, which are the first layers of the decoders.
    latent = [d.input_norm(x) for d, x in zip(model.neck.decoders, taps, strict=True)]
    predictions, targets = model.reconstruct(images, mask)
    losses = model.head.loss(predictions, targets, mask)
    sum(losses.values()).backward()
    return dict(
        mask=mask,
        latent=[in_released_order(x, scores.gather(1, mask.visible)) for x in latent],
        pred=[x.flatten(2).transpose(1, 2) for x in predictions],
        target=[x.flatten(2).transpose(1, 2) for x in targets],
        losses=[x.item() for x in losses.values()],
        grad_norm={n: p.grad.norm().item() for n, p in parameters.items()},
    )


@pytest.fixture(scope="module")
def expected():
    return figures("localmim_vit_hog")


def test_mask(result, expected):
    assert result["mask"].hidden[0].flatten().int().tolist() == expected["mask_row0"]


def test_losses(result, expected):
    assert result["losses"] == pytest.approx(expected["losses"], rel=1e-9)
    assert sum(result["losses"]) == pytest.approx(expected["loss"], rel=1e-9)


@pytest.mark.parametrize("kind", ["latent", "pred", "target"])
@pytest.mark.parametrize("tap", range(4))
def test_maps(result, expected, kind, tap):
    found, reference = summary(result[kind][tap]), expected[kind][tap]
    assert found["shape"] == reference["shape"]
    for name in ("mean", "std", "first", "last"):
        # The mean of values around 0.5 to 1 that cancel is held to their scale.
        assert found[name] == pytest.approx(reference[name], rel=1e-9, abs=1e-12)


def test_gradient_norms(result, expected):
    for name, reference in expected["grad_norm"].items():
        assert result["grad_norm"][name] == pytest.approx(reference, rel=1e-8)
