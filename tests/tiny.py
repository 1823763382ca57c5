"""Configs small enough to run many times."""

ARCH = dict(embed_dims=32, num_layers=8, num_heads=4, feedforward_channels=64)
RESNET = dict(type="PackedResNet", depth=50, stem_channels=8, base_channels=8)
CONVNEXT_ARCH = dict(depths=[1, 1, 2, 1], channels=[16, 32, 64, 128])
SWIN_ARCH = dict(embed_dims=16, depths=[2, 2, 2, 2], num_heads=[1, 2, 4, 8])


def localmim(size=64, channels=3, bins=9, **backbone) -> dict:
    """A LocalMIM ViT 32 wide with 8 blocks."""
    return dict(
        type="LocalMIM",
        backbone=dict(type="SparseViT", arch=ARCH, img_size=size, in_channels=channels, **backbone),
        mask_generator=dict(type="RandomMasking"),
        neck=dict(
            type="LocalDecoders",
            embed_dims=16,
            num_heads=2,
        ),
        target_generator=dict(type="MultiScaleHOG", bins=bins),
        head=dict(type="ReconstructionHead"),
    )


def localmim_swin(size=64, channels=3, bins=9, shared=True, **backbone) -> dict:
    """A LocalMIM Swin 16 wide with 8 blocks and windows of 2 tokens."""
    settings = dict(arch=SWIN_ARCH, img_size=size, in_channels=channels, window_size=2)
    return dict(
        type="LocalMIM",
        backbone=dict(type="SparseSwin", **settings | backbone),
        mask_generator=dict(type="RandomMasking", shared=shared),
        neck=dict(
            type="LocalDecoders",
            embed_dims=(16, 32, 32, 32),
            num_heads=2,
        ),
        target_generator=dict(type="MultiScaleHOG", bins=bins, cells=(8, 16, 32, 32)),
        head=dict(type="ReconstructionHead"),
    )


def localmim_cnn(backbone: dict, channels=3, bins=9) -> dict:
    """A LocalMIM on a convolutional encoder."""
    return dict(
        type="LocalMIM",
        backbone=dict(in_channels=channels, **backbone),
        mask_generator=dict(type="RandomMasking", ratio=0.6),
        neck=dict(
            type="LocalDecoders",
            merges=(2, 1, 1, 1),
            embed_dims=16,
            num_heads=2,
        ),
        target_generator=dict(type="MultiScaleHOG", bins=bins),
        head=dict(type="ReconstructionHead"),
    )


def localmim_resnet(size=64, channels=3, bins=9) -> dict:
    """A LocalMIM ResNet-50 with an eighth of the width, for images of any size."""
    return localmim_cnn(RESNET, channels, bins)


def localmim_convnext(size=64, channels=3, bins=9) -> dict:
    """A LocalMIM ConvNeXt 16 to 128 wide."""
    backbone = dict(type="PackedConvNeXt", arch=CONVNEXT_ARCH)
    return localmim_cnn(backbone, channels, bins)


def lomar(size=64, channels=3, **settings) -> dict:
    """A LoMaR with windows of 3x3 patches, 32 wide with 8 blocks."""
    return (
        dict(
            type="LoMaR",
            window_size=3,
            num_windows=3,
            backbone=dict(type="IRPEViT", arch=ARCH, img_size=size, in_channels=channels),
            mask_generator=dict(type="RandomMasking", ratio=0.8, rounding="down"),
            neck=dict(type="LinearDecoder"),
            target_generator=dict(type="MultiScalePixels", patch_sizes=(16,)),
            head=dict(type="ReconstructionHead"),
        )
        | settings
    )


def a2mim(backbone: dict, head: dict, channels=3) -> dict:
    """A2MIM on any encoder."""
    return dict(
        type="MaskedImageModel",
        backbone=dict(in_channels=channels, **backbone),
        mask_generator=dict(type="RandomMasking", cell_size=32, ratio=0.6),
        neck=dict(type="LinearDecoder"),
        target_generator=dict(type="MultiScalePixels", patch_sizes=(1,), normalize=False),
        head=dict(type="FrequencyHead", **head),
    )


def a2mim_resnet(size=64, channels=3) -> dict:
    """A2MIM on a ResNet-50 with an eighth of the width."""
    head = dict(focal=True, frequency_weight=0.5, visible_weight=1e-3)
    return a2mim(RESNET | dict(type="MaskedResNet"), head, channels)


def a2mim_convnext(size=64, channels=3) -> dict:
    """A2MIM on a ConvNeXt 16 to 128 wide."""
    backbone = dict(type="MaskedConvNeXt", arch=CONVNEXT_ARCH)
    return a2mim(backbone, dict(focal=True, frequency_weight=0.0), channels)


def a2mim_vit(size=64, channels=3) -> dict:
    """A2MIM on a ViT 32 wide with 8 blocks."""
    backbone = dict(type="MaskedViT", arch=ARCH, img_size=size, drop_path_rate=0.1)
    return a2mim(backbone, {}, channels)


# LocalMIM on each kind of encoder.
MODELS = {
    "vit": localmim,
    "swin": localmim_swin,
    "swin, a mask per image": lambda *args, **kwargs: localmim_swin(*args, shared=False, **kwargs),
    "resnet": localmim_resnet,
    "convnext": localmim_convnext,
}
# Other algorithms.
OTHERS = {
    "lomar": lomar,
    "a2mim resnet": a2mim_resnet,
    "a2mim convnext": a2mim_convnext,
    "a2mim vit": a2mim_vit,
}
