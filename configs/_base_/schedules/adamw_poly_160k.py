# AdamW, 160,000 iterations, linear warm-up and decay, mixed precision.
# Usually modified: lr, max_iters, warm-up.

# bfloat16 where the GPU has it, else float16; float32 on a CPU.
optim_wrapper = dict(
    type="MixedPrecisionOptimWrapper",
    optimizer=dict(type="AdamW", lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01, fused=True),
)

# The decay ends with the training: `train_cfg.max_iters` alone changes the length.
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type="PolyLR", eta_min=0.0, power=1.0, by_epoch=False, begin=1500),
]

train_cfg = dict(type="IterBasedTrainLoop", max_iters=160000, val_interval=16000)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

# `lr` above is for this total batch and is scaled linearly to the real one.
auto_scale_lr = dict(base_batch_size=16, enable=True)
