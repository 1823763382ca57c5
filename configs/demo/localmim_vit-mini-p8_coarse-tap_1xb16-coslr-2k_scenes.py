# One tap, at the end, as MAE and MaskFeat have, and coarse cells: what the other taps add.
_base_ = "localmim_vit-mini-p8_coarse_1xb16-coslr-2k_scenes.py"

model = dict(
    type="MaskedImageModel",
    backbone=dict(out_indices=(-1,)),
    target_generator=dict(cells=(16,)),
)
