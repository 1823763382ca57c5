# "ResNet strikes back" A3 (Wightman et al. 2021): LAMB with cosine decay to 1e-6 from epoch to
# epoch, which a linear warm-up multiplies in the first ones, mixed precision.
# Usually modified: lr, max_epochs.

# bfloat16 where the GPU has it, else float16; float32 on a CPU.
optim_wrapper = dict(
    type="MixedPrecisionOptimWrapper",
    # Clips gradients by itself, to a norm of 1.
    optimizer=dict(type="Lamb", lr=8e-3, weight_decay=0.02),
    # No weight decay on biases, norms and other 1-D parameters.
    paramwise_cfg=dict(flat_decay_mult=0.0, norm_decay_mult=0.0, bias_decay_mult=0.0),
)

# The cosine ends with the training: `train_cfg.max_epochs` alone changes the length.
param_scheduler = [
    dict(
        type="LinearLR",
        start_factor=1e-5,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True,
    ),
    dict(type="CosineAnnealingLR", eta_min=1e-6, by_epoch=True, begin=0),
]

train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=1)
val_cfg = dict()
test_cfg = dict()

# `lr` above is for this total batch and is scaled linearly to the real one
# (processes x batch_size x accumulative_counts), which is printed at the start.
auto_scale_lr = dict(base_batch_size=2048, enable=True)
