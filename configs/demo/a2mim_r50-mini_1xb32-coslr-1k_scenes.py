# A small A2MIM on a ResNet-50 of a quarter of the width, procedural scenes of 128x128 pixels.
_base_ = "localmim_r50-mini_1xb32-coslr-1k_scenes.py"

model = dict(
    type="MaskedImageModel",
    backbone=dict(type="MaskedResNet"),
    neck=dict(_delete_=True, type="LinearDecoder"),
    target_generator=dict(
        _delete_=True, type="MultiScalePixels", patch_sizes=(1,), normalize=False
    ),
    head=dict(type="FrequencyHead", focal=True, frequency_weight=0.5, visible_weight=1e-3),
)

inner_token = dict(lr_mult=0.1, decay_mult=0.0)
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(mask_token=inner_token, mask_gamma=inner_token))
)
