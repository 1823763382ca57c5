# LocalMIM Swin-T on any folder of unlabelled images:
#   python tools/train.py THIS_FILE --cfg-options train_dataloader.dataset.data_root=FOLDER
# The learning rate is for a long training on many images; `localmim config FOLDER` prints a config
# whose settings suit yours.
# Another length: train_cfg.max_epochs=100 (warm-up: param_scheduler.0.end=5 and
# param_scheduler.1.begin=5). A mask for each image: model.mask_generator.shared=False.
_base_ = [
    "../_base_/models/localmim_swin-base-w7.py",
    "../_base_/datasets/folder_bs128_mim.py",
    "../_base_/schedules/adamw_coslr_mim.py",
    "../_base_/pretraining_runtime.py",
]

model = dict(backbone=dict(arch="tiny"), target_generator=dict(bins=9))

optim_wrapper = dict(optimizer=dict(lr=8e-4))
train_cfg = dict(max_epochs=200)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 10  # warm-up
