# Fine-tuning of Swin-B from LocalMIM on HOG, 100 epochs.
_base_ = "swin-base-w7_localmim-400e-pre_8xb256-amp-coslr-100e_in1k.py"

optim_wrapper = dict(optimizer=dict(lr=5e-3))
param_scheduler = _base_.param_scheduler
param_scheduler[1].eta_min_ratio = 2.5e-7 / 5e-3
