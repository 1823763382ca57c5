# LocalMIM on a ViT-B (Wang et al., CVPR 2023): hidden patches are not computed, taps after blocks
# 2, 4, D - 2 and D predict HOG on grids of 56, 28, 14 and 7 cells at 224 pixels.
# Usually modified: arch, out_indices and as many cells, bins, ratio, widths and depths of the neck.
# What connects the parts follows from them.
model = dict(
    type="LocalMIM",
    backbone=dict(type="SparseViT", arch="base", patch_size=16, out_indices=(1, 3, -3, -1)),
    mask_generator=dict(type="RandomMasking", ratio=0.75),
    neck=dict(type="LocalDecoders", embed_dims=256, num_heads=8),
    target_generator=dict(type="MultiScaleHOG", bins=9, cells=(4, 8, 16, 32)),
    head=dict(type="ReconstructionHead"),
)
