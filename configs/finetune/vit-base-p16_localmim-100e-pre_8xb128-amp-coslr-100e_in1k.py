# Fine-tuning of ViT-B from LocalMIM, 100 epochs.
_base_ = "vit-base-p16_localmim-1600e-pre_8xb128-amp-coslr-100e_in1k.py"

optim_wrapper = dict(optimizer=dict(lr=4e-3), paramwise_cfg=dict(layer_decay_rate=0.75))
param_scheduler = _base_.param_scheduler
param_scheduler[1].eta_min_ratio = 1e-6 / 4e-3
