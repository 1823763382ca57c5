import pytest
import torch
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.models.utils import resize_pos_embed
from tiny import ARCH, localmim

from localmim.checkpoints import compare_state_dicts, init_weights
from localmim.downstream.window_attention import cut_windows, join_windows
from localmim.downstream.window_vit import WindowViT
from localmim.models import LocalMIM, SparseViT

ALL = range(8)


def build(size=64, channels=3, tables=True, **kwargs) -> WindowViT:
    """A WindowViT in float64 whose weights are all different from zero."""
    kwargs = dict(input_size=128, window_size=3) | kwargs
    vit = WindowViT(arch=ARCH, img_size=size, in_channels=channels, **kwargs).double()
    with torch.no_grad():
        for name, parameter in vit.named_parameters():
            if tables or "rel_pos" not in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
    vit.eval()
    return vit


def without_tables(vit: WindowViT) -> dict:
    return {name: x for name, x in vit.state_dict().items() if "rel_pos" not in name}


def slow_attention(attention, x):
    """What (H, W, C) tokens of one window get from one another, pair by pair."""
    height, width, channels = x.shape
    tokens, heads = x.reshape(-1, channels), attention.num_heads
    query, key, value = attention.qkv(tokens).unflatten(1, (3, heads, -1)).unbind(1)
    rows, cols = attention.rel_pos_h, attention.rel_pos_w
    middle = (len(rows) - 1) // 2, (len(cols) - 1) // 2
    out = torch.zeros_like(query)
    for q in range(height * width):
        for head in range(heads):
            logits = []
            for k in range(height * width):
                down, right = q // width - k // width, q % width - k % width
                logit = query[q, head] @ key[k, head] * key.shape[2] ** -0.5
                logit = logit + query[q, head] @ rows[middle[0] + down]
                logits.append(logit + query[q, head] @ cols[middle[1] + right])
            out[q, head] = torch.stack(logits).softmax(0) @ value[:, head]
    return attention.proj(out.flatten(1)).view(height, width, channels)


@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
def test_all_blocks_global_and_tables_zero_is_the_dense_vit(size):
    vit = build(tables=False, global_blocks=ALL, channels=5)
    dense = VisionTransformer(
        arch=ARCH,
        img_size=64,
        in_channels=5,
        with_cls_token=False,
        final_norm=False,
        out_type="featmap",
    ).double()
    dense.load_state_dict(without_tables(vit))
    dense.eval()
    images = torch.randn(2, 5, *size).double()
    (ours,), (theirs,) = vit(images), dense(images)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", [(96, 96), (64, 112)])  # 6x6 and 4x7 patches
def test_attention_is_the_formula_within_each_window(size):
    vit = build()
    attention = vit.layers[0].attn
    x = torch.randn(2, size[0] // 16, size[1] // 16, 32).double()
    expected = torch.zeros_like(x)
    for image in range(2):
        for top in range(0, x.shape[1], 3):
            for left in range(0, x.shape[2], 3):
                window = image, slice(top, top + 3), slice(left, left + 3)
                expected[window] = slow_attention(attention, x[window])
    torch.testing.assert_close(attention(x), expected, rtol=1e-10, atol=1e-10)


def test_global_attention_is_the_formula_over_the_map():
    vit = build(input_size=(64, 80))
    x = torch.randn(1, 4, 5, 32).double()
    expected = slow_attention(vit.layers[7].attn, x[0])
    torch.testing.assert_close(vit.layers[7].attn(x)[0], expected, rtol=1e-10, atol=1e-10)


def test_global_tables_are_interpolated_to_other_maps():
    attention = build(input_size=128).layers[7].attn
    # With tables that are linear in the distance, interpolation is a change of the slope.
    slope = torch.randn(8).double()
    distance = torch.arange(-7, 8).double()[:, None]
    with torch.no_grad():
        attention.rel_pos_h.copy_(slope * distance)
        attention.rel_pos_w.zero_()
    query = torch.randn(1, 4, 5 * 8, 8).double()
    bias = attention._relative_bias(query, (5, 8)).view(4, 5, 8, 5, 8)
    product = (query[0] @ slope).view(4, 5, 8)
    down = torch.arange(5)[:, None] - torch.arange(5)
    expected = product[..., None] * down[:, None].double() * 15 / 9
    inner = abs(down)[None, :, None].expand(4, 5, 8, 5) < 4  # half a step is lost at the ends
    torch.testing.assert_close(bias[..., 0][inner], expected[inner], rtol=1e-5, atol=1e-5)


def test_forward_is_its_blocks_on_resized_positions():
    vit = build()
    images = torch.randn(1, 3, 64, 112).double()
    x = vit.patch_embed(images)[0] + resize_pos_embed(vit.pos_embed, (4, 4), (4, 7), "bicubic", 0)
    x = x.view(1, 4, 7, 32)
    for number, layer in enumerate(vit.layers):
        assert (layer.attn.window is None) == (number in (1, 3, 5, 7))
        x = x + layer.attn(layer.ln1(x))
        x = layer.ffn(layer.ln2(x), identity=x)
    torch.testing.assert_close(vit(images)[0], x.permute(0, 3, 1, 2), rtol=1e-10, atol=1e-10)


def test_windows_keep_apart_and_global_blocks_connect():
    images = torch.randn(1, 3, 96, 96).double()
    changed = images.clone()
    changed[..., :48] += 1  # the left half: windows of 3x3 patches
    apart = build(global_blocks=())
    assert apart(images)[0][..., 3:].equal(apart(changed)[0][..., 3:])
    connected = build(global_blocks=(0,))
    difference = connected(images)[0] - connected(changed)[0]
    assert difference.abs().amax(1).min() > 0


@pytest.mark.parametrize("grid", [(6, 6), (4, 7), (2, 2)])
def test_windows_are_cut_and_joined(grid):
    x = torch.randn(2, *grid, 5)
    windows = cut_windows(x, (3, 2))
    assert windows.shape[1:] == (6, 5)
    assert join_windows(windows, (3, 2), grid).equal(x)


def test_every_parameter_gets_a_gradient():
    vit = build()
    vit.train()
    vit(torch.randn(2, 3, 64, 112).double())[0].square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in vit.parameters())


def test_a_pretraining_checkpoint_loads_entirely(tmp_path):
    model = LocalMIM(**{k: v for k, v in localmim().items() if k != "type"})
    torch.save({"state_dict": model.state_dict()}, tmp_path / "epoch_1.pth")
    settings = dict(type="Pretrained", checkpoint=str(tmp_path / "epoch_1.pth"), prefix="backbone.")
    vit = WindowViT(arch=ARCH, img_size=64, input_size=128, init_cfg=settings)
    init_weights(vit)
    source, loaded = model.backbone.state_dict(), vit.state_dict()
    report = compare_state_dicts(source, loaded)
    assert all(source[name].equal(loaded[name]) for name in report.matched)
    assert source["pos_embed"][:, 1:].equal(loaded["pos_embed"])
    assert all("rel_pos" in name and not loaded[name].any() for name in report.missing)
    assert set(report.unexpected) == {"cls_token", "ln1.weight", "ln1.bias"}


def test_one_window_over_the_whole_map_is_the_encoder_of_pretraining():
    sparse = SparseViT(arch=ARCH, img_size=64, with_cls_token=False, out_type="featmap").double()
    sparse.eval()
    vit = build(tables=False, window_size=4)
    vit.load_state_dict(sparse.state_dict(), strict=False)
    images = torch.randn(2, 3, 64, 64).double()
    x = vit(images)[0].permute(0, 2, 3, 1)
    expected = sparse(images)[-1].permute(0, 2, 3, 1)
    torch.testing.assert_close(sparse.ln1(x), expected, rtol=1e-10, atol=1e-10)


def test_depths_are_the_parents_also_for_tables():
    vit = build()
    assert vit.get_layer_depth("backbone.pos_embed", "backbone.") == (0, 10)
    assert vit.get_layer_depth("backbone.layers.3.attn.rel_pos_h", "backbone.") == (4, 10)
    assert vit.get_layer_depth("neck.scales.0.0.weight", "backbone.") == (9, 10)


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match="the input is 64x70 pixels.*multiples.*size 16"):
        build()(torch.randn(1, 3, 64, 70).double())
    with pytest.raises(ValueError, match="input_size is 100x100 pixels"):
        build(input_size=100)
    with pytest.raises(ValueError, match=r"global_blocks \(8,\) must be from 0 to 7"):
        build(global_blocks=(8,))
