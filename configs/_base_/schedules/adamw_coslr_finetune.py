# AdamW with layer-wise learning rates, linear warm-up from 0 and cosine decay, mixed precision
# (Wang et al. 2023, appendix). Usually modified: lr, layer_decay_rate, max_epochs, warm-up.

# bfloat16 where the GPU has it, else float16; float32 on a CPU.
optim_wrapper = dict(
    type="MixedPrecisionOptimWrapper",
    optimizer=dict(type="AdamW", lr=2e-3, betas=(0.9, 0.999), weight_decay=0.05, fused=True),
    constructor="LearningRateDecayOptimWrapperConstructor",
    paramwise_cfg=dict(
        layer_decay_rate=0.65,
        # No weight decay on biases, norms and other 1-D parameters, nor on these.
        flat_decay_mult=0.0,
        custom_keys={
            ".cls_token": dict(decay_mult=0.0),
            ".pos_embed": dict(decay_mult=0.0),
            ".relative_position_bias_table": dict(decay_mult=0.0),
        },
    ),
)

# The cosine ends with the training: `train_cfg.max_epochs` alone changes the length. It ends at
# the same fraction of every layer's rate, so that lower layers stay below upper ones to the end.
param_scheduler = [
    dict(
        type="LinearLR",
        start_factor=1e-6,
        by_epoch=True,
        begin=0,
        end=20,
        convert_to_iter_based=True,
    ),
    dict(
        type="CosineAnnealingLR",
        eta_min_ratio=1e-5 / 2e-3,
        by_epoch=True,
        begin=20,
        convert_to_iter_based=True,
    ),
]

train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=1)
val_cfg = dict()
test_cfg = dict()

# `lr` above is for this total batch and is scaled linearly to the real one
# (processes x batch_size x accumulative_counts), which is printed at the start.
auto_scale_lr = dict(base_batch_size=1024, enable=True)
