# A small LocalMIM on a ResNet-50 of a quarter of the width, procedural scenes of 128x128 pixels.
_base_ = "localmim_vit-mini-p8_1xb16-coslr-2k_scenes.py"

model = dict(
    backbone=dict(_delete_=True, type="PackedResNet", depth=50, stem_channels=16, base_channels=16),
    neck=dict(merges=(2, 1, 1, 1), embed_dims=64),
    target_generator=dict(cells=(4, 8, 16, 32)),
)

image_size = 128
train_dataloader = dict(batch_size=32)

train_cfg = dict(max_iters=1000, val_interval=1001)
