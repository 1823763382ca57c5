# Linear probing of MAE (He et al. 2022, appendix): LARS, 90 epochs, no weight decay, mixed
# precision. Usually modified: lr, max_epochs.

# bfloat16 where the GPU has it, else float16; float32 on a CPU.
optim_wrapper = dict(
    type="MixedPrecisionOptimWrapper",
    optimizer=dict(type="LARS", lr=6.4, momentum=0.9, weight_decay=0.0),
    # The bias takes the plain rate. (mmengine's own constructor warns of every frozen parameter.)
    constructor="LearningRateDecayOptimWrapperConstructor",
    paramwise_cfg=dict(custom_keys={"head.fc.bias": dict(lars_exclude=True)}),
)

# The cosine ends with the training: `train_cfg.max_epochs` alone changes the length.
param_scheduler = [
    dict(
        type="LinearLR",
        start_factor=1e-6,
        by_epoch=True,
        begin=0,
        end=10,
        convert_to_iter_based=True,
    ),
    dict(
        type="CosineAnnealingLR",
        eta_min=0.0,
        by_epoch=True,
        begin=10,
        convert_to_iter_based=True,
    ),
]

train_cfg = dict(by_epoch=True, max_epochs=90, val_interval=1)
val_cfg = dict()
test_cfg = dict()

# `lr` above is for this total batch and is scaled linearly to the real one
# (processes x batch_size x accumulative_counts), which is printed at the start.
auto_scale_lr = dict(base_batch_size=16384, enable=True)
