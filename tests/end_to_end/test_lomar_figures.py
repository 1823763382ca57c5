"""LoMaR gives the numbers of the authors' implementation; see tests/reference/README.md."""

import pytest
import torch
from mmpretrain.registry import MODELS
from reference_formula import figures, image, noise, released_parameter, summary

from localmim.checkpoints import convert, convert_file, load_from_file, load_into
from localmim.masking import PatchMask
from localmim.models.lomar import crop_windows


def build() -> torch.nn.Module:
    arch = dict(embed_dims=96, num_layers=4, num_heads=3, feedforward_channels=384)
    return MODELS.build(
        dict(
            type="LoMaR",
            backbone=dict(type="IRPEViT", arch=arch, img_size=160),
            mask_generator=dict(type="RandomMasking", ratio=0.8, rounding="down"),
            neck=dict(type="LinearDecoder"),
            target_generator=dict(type="MultiScalePixels", patch_sizes=(16,)),
            head=dict(type="ReconstructionHead"),
        )
    ).double()


def released(tensors: dict) -> dict:
    return convert(tensors, "lomar", "localmim").state_dict


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What our model gives with the weights of a released file, and the authors' figures."""
    model, folder = build(), tmp_path_factory.mktemp("lomar")
    shapes = {name: x.shape for name, x in released(model.state_dict()).items()}
    weights = {name: released_parameter(name, shape) for name, shape in shapes.items()}
    weights["pos_embed"] = torch.zeros(1, 101, 96)
    torch.save({"model": weights, "epoch": 1599}, folder / "released.pth")
    conversion, _ = convert_file(folder / "released.pth", folder / "ours.pth", "localmim")
    assert conversion.report.source.startswith("lomar")
    load_into(model, load_from_file(folder / "ours.pth")["state_dict"], "ours.pth")

    windows = crop_windows(image(160, 160), torch.full((2, 1, 2), 32), 112)
    # The places of the 39 smallest are hidden; ours keeps the smallest visible.
    mask = PatchMask.from_scores(-noise(2, 49).view(2, 7, 7), 10)
    (prediction,), targets = model.reconstruct(windows, mask)
    losses = model.head.loss([prediction], targets, mask)
    losses["loss_0"].backward()
    gradients = released({name: x.grad for name, x in model.named_parameters()})
    return dict(
        mask=mask, pred=prediction, loss=losses["loss_0"].item(), gradients=gradients
    ), figures("lomar_vit")


def test_masks(run):
    result, expected = run
    hidden = result["mask"].hidden.flatten(1).int().tolist()
    assert hidden == [expected["mask_row0"], expected["mask_row1"]]
    assert sum(hidden[0]) == expected["masked_per_window"]


def test_loss(run):
    result, expected = run
    assert result["loss"] == pytest.approx(expected["loss"], rel=1e-9)


def test_predictions(run):
    result, expected = run
    found = summary(result["pred"].flatten(2).transpose(1, 2))
    assert found["shape"] == expected["pred"]["shape"]
    for name in ("mean", "std", "first", "last"):
        assert found[name] == pytest.approx(expected["pred"][name], rel=1e-9, abs=1e-12)


def test_gradient_norms(run):
    result, expected = run
    assert len(expected["grad_norm"]) == 6
    for name, reference in expected["grad_norm"].items():
        assert result["gradients"][name].norm().item() == pytest.approx(reference, rel=1e-8)
