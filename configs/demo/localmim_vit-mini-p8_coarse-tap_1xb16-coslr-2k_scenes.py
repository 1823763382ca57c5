# One tap, at the end, as MAE and MaskFeat have, that predicts HOG of coarse cells: the best of what
# was tried on small images for a few minutes (docs/benchmarks/acceleration.md).
_base_ = "localmim_vit-mini-p8_1xb16-coslr-2k_scenes.py"

model = dict(
    type="MaskedImageModel",
    backbone=dict(out_indices=(-1,)),
    target_generator=dict(cells=(16,)),
)
