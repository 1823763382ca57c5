# Fine-tuning of ResNet-50 from A2MIM by RSB A2 (Li et al., ICML 2023; Wightman et al. 2021):
#   tools/dist_train.sh THIS_FILE 8 --cfg-options model.backbone.init_cfg.checkpoint=PRETRAINED.pth
_base_ = [
    "../_base_/models/resnet50_rsb.py",
    "../_base_/datasets/imagenet_bs256_rsb_a2.py",
    "../_base_/schedules/lamb_coslr_rsb.py",
    "../_base_/default_runtime.py",
]

model = dict(backbone=dict(drop_path_rate=0.05))
optim_wrapper = dict(optimizer=dict(lr=5e-3))
train_cfg = dict(max_epochs=300)

# A moving average of the weights, 0.9999 of it kept in each step, is validated and deployed.
custom_hooks = [*_base_.custom_hooks, dict(type="EMAHook", momentum=1e-4)]
