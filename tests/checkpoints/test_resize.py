import pytest
import torch
from library_models import BEITS, RESNETS, SWINS, VITS, build, features
from mmseg.models.backbones import SwinTransformer as SegSwin
from timm.layers import resample_abs_pos_embed

from localmim.checkpoints import convert
from localmim.checkpoints.resize import resize_positions, resize_table

VIT = build(VITS["timm", "VisionTransformer"]).state_dict()
SWIN = build(SWINS["timm", "SwinTransformer"]).state_dict()
BEIT = build(BEITS["mmseg-mae", "MAE"]).state_dict()


@pytest.mark.parametrize("size", [(64, 64), (32, 96), (48, 16)])
def test_positions_agree_with_timm_and_keep_the_class_token(size):
    grid = [n // 16 for n in size]
    conversion = convert(VIT, "timm", "timm", image_size=size)
    found = conversion.state_dict["pos_embed"]
    expected = resample_abs_pos_embed(
        VIT["pos_embed"], grid, (3, 3), num_prefix_tokens=1, antialias=False
    )
    # timm interpolates in float32.
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(found[:, 0], VIT["pos_embed"][:, 0])
    note = f"3x3 to {grid[0]}x{grid[1]} patches"
    assert conversion.report.interpolated == {"pos_embed": note}
    assert conversion.architecture.image_size == size


def test_a_converted_vit_takes_the_new_size():
    conversion = convert(VIT, "mmpretrain", image_size=(32, 64))
    model = build(VITS["mmpretrain", "VisionTransformer"])
    resized = type(model)(
        arch=dict(embed_dims=32, num_layers=7, num_heads=4, feedforward_channels=64),
        img_size=(32, 64),
        out_type="featmap",
    ).double()
    resized.eval()
    state = {n.removeprefix("backbone."): x for n, x in conversion.state_dict.items()}
    resized.load_state_dict(state)
    model.load_state_dict(
        {n.removeprefix("backbone."): x for n, x in convert(VIT, "mmpretrain").state_dict.items()}
    )
    x = torch.randn(1, 3, 32, 64).double()
    # mmpretrain interpolates its positions itself for images of another size, in float32.
    torch.testing.assert_close(features(resized, x), features(model, x), rtol=1e-5, atol=1e-6)


def test_windows_agree_with_mmseg(tmp_path):
    settings = dict(embed_dims=16, depths=[2, 2, 2, 2], num_heads=[1, 2, 4, 8], out_indices=(3,))
    original = {n: x.float() for n, x in convert(SWIN, "mmseg").state_dict.items()}
    resized = convert(SWIN, "mmseg", window=5)
    assert resized.architecture.windows == (5, 5, 5, 5)
    assert len(resized.report.interpolated) == 8
    # mmseg resizes tables itself where a pre-trained model has other windows.
    torch.save({"state_dict": original}, tmp_path / "original.pth")
    init_cfg = dict(type="Pretrained", checkpoint=str(tmp_path / "original.pth"))
    model = SegSwin(**settings, window_size=5, init_cfg=init_cfg)
    model.init_weights()
    tables = {n: x for n, x in model.state_dict().items() if n.endswith("bias_table")}
    assert len(tables) == 8
    for name, expected in tables.items():
        found = resized.state_dict[name].float()
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_stage_smaller_than_its_window_gets_a_smaller_one():
    conversion = convert(SWIN, "mmpretrain", window=7, image_size=(128, 160))
    assert conversion.architecture.windows == (7, 7, 7, 4)
    last = "backbone.stages.3.blocks.1.attn.w_msa.relative_position_bias_table"
    assert conversion.state_dict[last].shape == (49, 8)
    alone = convert(SWIN, "mmpretrain", image_size=(64, 64))
    assert alone.architecture.windows == (2, 2, 2, 2) and not alone.report.interpolated


def test_relative_positions_of_a_vit_follow_and_keep_the_class_tokens_entries():
    conversion = convert(BEIT, "mmseg-mae", "mmseg-mae", image_size=(32, 64))
    assert len(conversion.report.interpolated) == 8
    for name, table in BEIT.items():
        if name.endswith("bias_table"):
            found = conversion.state_dict[name]
            assert found.shape == (3 * 7 + 3, 4) and torch.equal(found[-3:], table[-3:])
    beit = convert(BEIT, "mmpretrain", "mmseg-mae", image_size=(32, 64)).state_dict
    assert beit["backbone.layers.0.attn.relative_position_index"].shape == (9, 9)


def test_constants_and_types_stay_what_they_are():
    positions = torch.full((1, 49, 2), 3.0)
    positions[:, 0] = 9
    found = resize_positions(positions, (8, 6), (16, 12))
    torch.testing.assert_close(found[:, 1:], torch.full((1, 192, 2), 3.0))
    assert torch.equal(found[:, 0], positions[:, 0])
    assert resize_positions(positions.half(), (8, 6), (4, 6)).dtype == torch.float16
    table = torch.randn(15, 2)
    assert torch.equal(resize_table(table, (3, 5), (3, 5)), table)


@pytest.mark.parametrize(
    "state, settings, message",
    [
        (VIT, dict(image_size=(40, 48)), "a multiple of 16 pixels, got 40x48"),
        (VIT, dict(image_size=(0, 48)), "a multiple of 16 pixels, got 0x48"),
        (VIT, dict(window=7), "a window size is a Swin's"),
        (SWIN, dict(window=1), "at least 2 tokens along a side, got 1"),
        (SWIN, dict(image_size=(48, 64)), "a multiple of 32 pixels, got 48x64"),
        (
            build(RESNETS["timm", "ResNet"]).state_dict(),
            dict(image_size=(64, 64)),
            "a ResNet has no positions",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_refused(state, settings, message):
    with pytest.raises(ValueError, match=message):
        convert(state, "timm", **settings)


def test_positions_of_a_grid_that_is_not_square_need_its_size():
    wide = convert(VIT, "timm", image_size=(32, 96)).state_dict
    with pytest.raises(ValueError, match="does not say for which image size"):
        convert(wide, "timm", image_size=(48, 48))
    sized = convert(wide, "timm", hints={"image_size": (32, 96)}, image_size=(48, 48))
    assert sized.report.interpolated == {"pos_embed": "2x6 to 3x3 patches"}
    with pytest.raises(ValueError, match="12 positions are not those of images of 64x64"):
        convert(wide, "timm", hints={"image_size": (64, 64)})
