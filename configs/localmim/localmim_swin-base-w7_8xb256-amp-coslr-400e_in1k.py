# LocalMIM Swin-B with HOG targets, 400 epochs (Wang et al., CVPR 2023).
_base_ = [
    "../_base_/models/localmim_swin-base-w7.py",
    "../_base_/datasets/imagenet_bs256_mim.py",
    "../_base_/schedules/adamw_coslr_mim.py",
    "../_base_/default_runtime.py",
]

no_decay = dict(decay_mult=0.0)
optim_wrapper = dict(
    optimizer=dict(lr=8e-4),
    paramwise_cfg=dict(
        custom_keys=dict(relative_position_bias_table=no_decay, mask_token=no_decay)
    ),
)
param_scheduler = _base_.param_scheduler
param_scheduler[1].eta_min = 0.0
train_cfg = dict(max_epochs=400)
