# As on ViTs, but position biases and tokens do not decay, and the rate ends at 0 (the releases of
# LocalMIM, Wang et al. 2023, and GreenMIM, Huang et al. 2022). Usually modified: lr, max_epochs,
# warm-up.
_base_ = "adamw_coslr_mim.py"

no_decay = dict(decay_mult=0.0)
optim_wrapper = dict(
    optimizer=dict(lr=8e-4),
    paramwise_cfg=dict(
        custom_keys=dict(relative_position_bias_table=no_decay, mask_token=no_decay)
    ),
)
param_scheduler = _base_.param_scheduler
param_scheduler[1].eta_min = 0.0
