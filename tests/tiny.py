"""Configs small enough to run many times."""

ARCH = dict(embed_dims=32, num_layers=8, num_heads=4, feedforward_channels=64)


def localmim(size=64, channels=3, bins=9, **backbone) -> dict:
    """A LocalMIM ViT 32 wide with 8 blocks."""
    return dict(
        type="LocalMIM",
        backbone=dict(type="SparseViT", arch=ARCH, img_size=size, in_channels=channels, **backbone),
        mask_generator=dict(type="RandomMasking"),
        neck=dict(
            type="LocalDecoders",
            in_channels=32,
            out_channels=channels * bins,
            embed_dims=16,
            num_heads=2,
        ),
        target_generator=dict(type="MultiScaleHOG", bins=bins),
        head=dict(type="ReconstructionHead"),
    )
