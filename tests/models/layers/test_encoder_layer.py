import pytest
import torch
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer

from localmim.models.layers import QueryLayer


@pytest.fixture
def layers():
    settings = dict(embed_dims=16, num_heads=2, feedforward_channels=32, layer_scale_init_value=0.5)
    parent = TransformerEncoderLayer(**settings).double()
    ours = QueryLayer(**settings).double()
    ours.load_state_dict(parent.state_dict())
    return parent, ours


def check_same(found, expected, x, layers):
    """Equal outputs, and equal gradients of the input and of every parameter."""
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
    weights = torch.randn_like(found)
    gradients = [
        torch.autograd.grad((out * weights).sum(), [x, *layer.parameters()])
        for out, layer in zip((found, expected), layers, strict=True)
    ]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-13)


def test_for_all_tokens_it_is_the_parent(layers):
    parent, ours = layers
    x = torch.randn(3, 7, 16, dtype=torch.float64, requires_grad=True)
    check_same(ours(x), parent(x), x, (ours, parent))


def test_some_tokens_are_the_same_as_among_all(layers):
    parent, ours = layers
    x = torch.randn(3, 7, 16, dtype=torch.float64, requires_grad=True)
    places = torch.stack([torch.randperm(7)[:4] for _ in range(3)])
    expected = parent(x).gather(1, places[..., None].expand(-1, -1, 16))
    check_same(ours(x, places), expected, x, (ours, parent))
