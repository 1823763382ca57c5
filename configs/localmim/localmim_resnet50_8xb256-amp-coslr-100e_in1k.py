# LocalMIM on a ResNet-50: ours, not the paper's. Four stages, HOG at four scales, A2MIM's masks.
_base_ = [
    "../_base_/models/localmim_resnet50.py",
    "../_base_/datasets/imagenet_bs256_mim.py",
    "../_base_/schedules/adamw_coslr_mim.py",
    "../_base_/pretraining_runtime.py",
]

optim_wrapper = dict(optimizer=dict(lr=1.2e-3))
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 10  # warm-up
train_cfg = dict(max_epochs=100)
