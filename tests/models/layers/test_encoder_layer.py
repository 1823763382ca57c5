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


def gradients(layer, x, loss):
    return torch.autograd.grad(loss, [x, *layer.parameters()])


def test_for_all_tokens_it_is_the_parent(layers):
    parent, ours = layers
    x = torch.randn(3, 7, 16, dtype=torch.float64, requires_grad=True)
    expected, found = parent(x), ours(x)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
    weights = torch.randn_like(found)
    pairs = zip(
        gradients(ours, x, (found * weights).sum()),
        gradients(parent, x, (expected * weights).sum()),
        strict=True,
    )
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=0, atol=1e-13)


def test_some_tokens_are_the_same_as_among_all(layers):
    parent, ours = layers
    x = torch.randn(3, 7, 16, dtype=torch.float64, requires_grad=True)
    places = torch.stack([torch.randperm(7)[:4] for _ in range(3)])
    expected = parent(x).gather(1, places[..., None].expand(-1, -1, 16))
    found = ours(x, places)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
    weights = torch.randn_like(found)
    pairs = zip(
        gradients(ours, x, (found * weights).sum()),
        gradients(parent, x, (expected * weights).sum()),
        strict=True,
    )
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=0, atol=1e-13)
