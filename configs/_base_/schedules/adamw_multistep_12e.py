# AdamW, 12 epochs (1x), learning rate divided by 10 after epochs 8 and 11, mixed precision.
# Usually modified: lr, max_epochs and with it the milestones.

# bfloat16 where the GPU has it, else float16; float32 on a CPU.
optim_wrapper = dict(
    type="MixedPrecisionOptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05, fused=True),
)

param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=False, begin=0, end=1000),
    dict(type="MultiStepLR", by_epoch=True, milestones=[8, 11], gamma=0.1),
]

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=12, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

# `lr` above is for this total batch and is scaled linearly to the real one.
auto_scale_lr = dict(base_batch_size=16, enable=True)
