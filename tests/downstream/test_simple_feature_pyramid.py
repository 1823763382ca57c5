import torch
import torch.nn.functional as F

from localmim.downstream.simple_feature_pyramid import SimpleFeaturePyramid


def norm(x, layer):
    """Layer norm over channels of (B, C, H, W), in words."""
    x = x - x.mean(1, keepdim=True)
    x = x / (x.square().mean(1, keepdim=True) + 1e-6).sqrt()
    return x * layer.weight[:, None, None] + layer.bias[:, None, None]


def double(x, layer):
    """Every pixel becomes 2x2 pixels by a linear map of its own."""
    out = torch.einsum("bchw,cdij->bdhiwj", x, layer.weight).flatten(4, 5).flatten(2, 3)
    return out + layer.bias[:, None, None]


def project(x, layers):
    conv1, norm1, conv3, norm3 = layers
    x = norm(torch.einsum("bchw,dc->bdhw", x, conv1.weight[:, :, 0, 0]), norm1)
    return norm(F.conv2d(x, conv3.weight, padding=1), norm3)


def build() -> SimpleFeaturePyramid:
    pyramid = SimpleFeaturePyramid(in_channels=16, out_channels=8).double()
    with torch.no_grad():
        for parameter in pyramid.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return pyramid


def test_scales_are_the_formula():
    pyramid = build()
    x = torch.randn(2, 16, 6, 8).double()
    maps = pyramid((torch.zeros_like(x), x))
    first, second, third, fourth = pyramid.scales
    quarter = double(F.gelu(norm(double(x, first[0]), first[1])), first[3])
    half_size = x.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).amax((3, 5))
    expected = [
        project(quarter, first[4:]),
        project(double(x, second[0]), second[1:]),
        project(x, third),
        project(half_size, fourth[1:]),
    ]
    expected.append(expected[3][:, :, ::2, ::2])
    for ours, theirs in zip(maps, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    sizes = [tuple(x.shape[1:]) for x in maps]
    assert sizes == [(8, 24, 32), (8, 12, 16), (8, 6, 8), (8, 3, 4), (8, 2, 2)]


def test_every_parameter_gets_a_gradient():
    pyramid = build()
    # The mean of what a norm gives out is its bias alone: weigh the places differently.
    loss = sum(
        (x * torch.randn_like(x)).sum() for x in pyramid((torch.randn(2, 16, 4, 4).double(),))
    )
    loss.backward()
    assert all(p.grad is not None and p.grad.any() for p in pyramid.parameters())
