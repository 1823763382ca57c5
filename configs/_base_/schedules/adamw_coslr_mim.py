# AdamW with linear warm-up from 0 and cosine decay to 1e-6, mixed precision, no clipping
# (Wang et al. 2023, appendix). Usually modified: lr, max_epochs, warm-up.

# bfloat16 where the GPU has it, else float16; float32 on a CPU.
optim_wrapper = dict(
    type="MixedPrecisionOptimWrapper",
    optimizer=dict(type="AdamW", lr=1.6e-3, betas=(0.9, 0.95), weight_decay=0.05, fused=True),
    # No weight decay on biases, norms and other 1-D parameters.
    paramwise_cfg=dict(flat_decay_mult=0.0, norm_decay_mult=0.0, bias_decay_mult=0.0),
)

# The cosine ends with the training: `train_cfg.max_epochs` alone changes the length.
param_scheduler = [
    dict(
        type="LinearLR",
        start_factor=1e-6,
        by_epoch=True,
        begin=0,
        end=40,
        convert_to_iter_based=True,
    ),
    dict(
        type="CosineAnnealingLR",
        eta_min=1e-6,
        by_epoch=True,
        begin=40,
        convert_to_iter_based=True,
    ),
]

train_cfg = dict(by_epoch=True, max_epochs=1600)

# `lr` above is for this total batch and is scaled linearly to the real one
# (processes x batch_size x accumulative_counts), which is printed at the start.
auto_scale_lr = dict(base_batch_size=2048, enable=True)
