import pytest
import slow_lomar
import torch
from mmpretrain.models.backbones import VisionTransformer
from tiny import ARCH

from localmim.masking import PatchMask
from localmim.models import IRPEViT, RandomMasking


def build(size=48, **kwargs) -> IRPEViT:
    """An IRPEViT in float64 whose weights are all different from zero."""
    backbone = IRPEViT(arch=ARCH, img_size=size, **kwargs).double()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    backbone.eval()
    return backbone


def test_without_tables_it_is_the_parent_without_positions():
    ours = IRPEViT(arch=ARCH, img_size=64).double()
    ours.init_weights()
    parent = VisionTransformer(arch=ARCH, img_size=64, out_type="featmap").double()
    result = parent.load_state_dict(ours.state_dict(), strict=False)
    assert result.missing_keys == ["pos_embed"]
    assert set(result.unexpected_keys) == {"mask_token"} | {
        f"layers.{i}.attn.irpe.table" for i in range(8)
    }
    torch.nn.init.zeros_(parent.pos_embed)
    images = torch.randn(2, 3, 64, 64).double()
    torch.testing.assert_close(ours(images), parent(images), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("hide", [True, False])
def test_features_against_the_formula(hide):
    backbone = build()
    images = torch.randn(2, 3, 48, 48).double()
    mask = RandomMasking(16, 0.8, rounding="down")(images) if hide else None
    weights = dict(backbone.state_dict())
    weights |= {"neck.pred.weight": torch.eye(32).double(), "neck.pred.bias": torch.zeros(32)}
    hidden = mask.hidden.flatten(1) if hide else torch.zeros(2, 9, dtype=torch.bool)
    expected = slow_lomar.predict(
        {n: x.double() for n, x in weights.items()}, images, hidden, heads=4
    )
    found = backbone(images, mask)[0].flatten(2).transpose(1, 2)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_hidden_pixels_do_not_matter():
    backbone = build()
    images = torch.randn(2, 3, 48, 48).double()
    mask = RandomMasking(16)(images)
    hidden = mask.hidden_at((48, 48))[:, None]
    changed = backbone(torch.where(hidden, 1e3, images), mask)
    assert changed[0].equal(backbone(images, mask)[0])


def test_any_size_by_the_same_weights():
    backbone = build(size=112)
    for size in ((48, 48), (64, 128), (224, 224)):
        (features,) = backbone(torch.randn(1, 3, *size).double())
        assert features.shape == (1, 32, size[0] // 16, size[1] // 16)


def test_drop_path_is_that_of_the_parent():
    backbone = build(drop_path_rate=0.5)
    images = torch.randn(8, 3, 48, 48).double()
    backbone.train()
    assert not backbone(images)[0].equal(backbone(images)[0])


def test_unfit_masks_and_settings_are_refused():
    mask = PatchMask.from_hidden(torch.tensor([[[True, False]]]))
    with pytest.raises(ValueError, match="4x4 positions does not divide into 1x2"):
        build(size=64)(torch.randn(1, 3, 64, 64).double(), mask)
    with pytest.raises(ValueError, match="with_cls_token=True only"):
        IRPEViT(arch=ARCH, with_cls_token=False)
