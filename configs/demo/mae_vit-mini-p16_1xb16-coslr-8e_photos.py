# MAE on the encoder, photographs and schedule of the LocalMIM demo, to compare with
# (docs/analysis.md).
_base_ = "localmim_vit-mini-p16_1xb16-coslr-8e_photos.py"

model = dict(
    type="MaskedImageModel",
    backbone=dict(out_indices=(-1,)),
    neck=dict(depth=4),
    target_generator=dict(_delete_=True, type="MultiScalePixels", patch_sizes=(16,)),
)
