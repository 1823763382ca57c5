# HOG at the top of the encoder alone, from visible patches (the sparse MaskFeat of ../baselines),
# to compare with LocalMIM, which taps four layers.
_base_ = "localmim_vit-mini-p8_1xb16-coslr-2k_scenes.py"

model = dict(
    type="MaskedImageModel",
    backbone=dict(out_indices=(-1,)),
    neck=dict(depth=1),
    target_generator=dict(_delete_=True, type="MultiScaleHOG", bins=9, cells=(8,)),
)
