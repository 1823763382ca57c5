"""Taps of mmpretrain's encoders, from what they were built with."""

from collections.abc import Sequence

from torch import nn

from localmim.wiring import Tap


def tap_list(out_indices: int | Sequence[int]) -> int | list[int]:
    """A copy of ``out_indices`` that the parent may change; its errors are the parent's."""
    return list(out_indices) if isinstance(out_indices, Sequence) else out_indices


def vit_taps(vit: nn.Module, patch_size: int, dense: bool) -> tuple[Tap, ...]:
    """Taps of a Vision Transformer; the last block's output has passed the final norm.

    Args:
        vit: a VisionTransformer or one of its kind.
        patch_size: side of a patch in pixels.
        dense: whether taps are maps, which have no extra tokens.
    """
    last = len(vit.layers) - 1 if vit.final_norm else None
    extra = 0 if dense else vit.num_extra_tokens
    return tuple(
        Tap(vit.embed_dims, patch_size, extra, normalized=number == last, dense=dense)
        for number in vit.out_indices
    )


def swin_taps(swin: nn.Module, patch_size: int) -> tuple[Tap, ...]:
    """Taps of a SwinTransformer as visible tokens, each after a norm of its own."""
    merged = [
        number + (swin.out_after_downsample and stage.downsample is not None)
        for number, stage in enumerate(swin.stages)
    ]
    return tuple(
        Tap(swin.num_features[number], patch_size * 2 ** merged[number], normalized=True)
        for number in swin.out_indices
    )


def resnet_stages(resnet: nn.Module, dense: bool) -> list[Tap]:
    """The output of every stage of a ResNet."""
    stages, stride = [], 4  # of the stem
    for name, step in zip(resnet.res_layers, resnet.strides, strict=False):
        stride *= step
        stages.append(Tap(getattr(resnet, name)[-1].out_channels, stride, dense=dense))
    return stages


def convnext_stages(convnext: nn.Module, dense: bool) -> list[Tap]:
    """The output of every stage of a ConvNeXt, after a norm of its own."""
    stem = convnext.downsample_layers[0][0].stride[0]
    return [
        Tap(channels, stem * 2**number, normalized=True, dense=dense)
        for number, channels in enumerate(convnext.channels)
    ]


def describe_stages(encoder: nn.Module, in_channels: int, stages: list[Tap]) -> None:
    """Give a convolutional encoder its ``image_channels``, ``cell_size`` and ``taps``.

    Args:
        encoder: with ``out_indices``.
        in_channels: channels of the images.
        stages: the output of every stage. The cells of a mask are those of the last one, or larger.
    """
    encoder.image_channels = in_channels
    encoder.cell_size = stages[-1].stride
    encoder.taps = tuple(stages[number] for number in encoder.out_indices)
