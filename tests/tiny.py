"""Configs small enough to run many times."""

ARCH = dict(embed_dims=32, num_layers=8, num_heads=4, feedforward_channels=64)
SWIN_ARCH = dict(embed_dims=16, depths=[2, 2, 2, 2], num_heads=[1, 2, 4, 8])


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


def localmim_swin(size=64, channels=3, bins=9, shared=True, **backbone) -> dict:
    """A LocalMIM Swin 16 wide with 8 blocks and windows of 2 tokens."""
    settings = dict(arch=SWIN_ARCH, img_size=size, in_channels=channels, window_size=2)
    return dict(
        type="LocalMIM",
        backbone=dict(type="SparseSwin", **settings | backbone),
        mask_generator=dict(type="RandomMasking", cell_size=32, shared=shared),
        neck=dict(
            type="LocalDecoders",
            in_channels=(32, 64, 128, 128),
            out_channels=channels * bins,
            scales=(1, 1, 1, 1),
            embed_dims=(16, 32, 32, 32),
            num_heads=2,
            norm_inputs=False,
            num_extra_tokens=0,
        ),
        target_generator=dict(type="MultiScaleHOG", bins=bins, cells=(8, 16, 32, 32)),
        head=dict(type="ReconstructionHead"),
    )


MODELS = {
    "vit": localmim,
    "swin": localmim_swin,
    "swin, a mask per image": lambda *args, **kwargs: localmim_swin(*args, shared=False, **kwargs),
}
