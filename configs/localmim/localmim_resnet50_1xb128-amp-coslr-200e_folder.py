# LocalMIM ResNet-50 (ours, not the paper's) on any folder of unlabelled images:
#   python tools/train.py THIS_FILE --cfg-options train_dataloader.dataset.data_root=FOLDER
# The learning rate is for a long training on many images; `localmim config FOLDER` prints a config
# whose settings suit yours.
# Another length: train_cfg.max_epochs=100 (warm-up: param_scheduler.0.end=5 and
# param_scheduler.1.begin=5).
_base_ = [
    "../_base_/models/localmim_resnet50.py",
    "../_base_/datasets/folder_bs128_mim.py",
    "../_base_/schedules/adamw_coslr_mim.py",
    "../_base_/pretraining_runtime.py",
]

optim_wrapper = dict(optimizer=dict(lr=1.2e-3))
train_cfg = dict(max_epochs=200)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 10  # warm-up
