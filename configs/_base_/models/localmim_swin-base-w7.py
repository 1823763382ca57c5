# LocalMIM on a Swin-B (Wang et al., CVPR 2023): hidden tokens are not computed, taps after each
# stage and its patch merging predict HOG on grids of 28, 14, 7 and 7 cells at 224 pixels.
# Usually modified: arch, window_size, bins, ratio, widths and depths of the neck.
model = dict(
    type="LocalMIM",
    backbone=dict(
        type="SparseSwin", arch="base", window_size=7, out_indices=(0, 1, 2, 3), norm_eps=1e-6
    ),
    # One mask for all images on a GPU.
    mask_generator=dict(type="RandomMasking", ratio=0.75, shared=True),
    neck=dict(type="LocalDecoders", embed_dims=(64, 128, 128, 128), num_heads=4),
    target_generator=dict(type="MultiScaleHOG", bins=18, cells=(8, 16, 32, 32)),
    head=dict(type="ReconstructionHead"),
)
