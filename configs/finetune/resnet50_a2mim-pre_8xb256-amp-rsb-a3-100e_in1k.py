# Fine-tuning of ResNet-50 from A2MIM by RSB A3 (Li et al., ICML 2023; Wightman et al. 2021):
#   tools/dist_train.sh THIS_FILE 8 --cfg-options model.backbone.init_cfg.checkpoint=PRETRAINED.pth
_base_ = [
    "../_base_/models/resnet50_rsb.py",
    "../_base_/datasets/imagenet_bs256_rsb_a3.py",
    "../_base_/schedules/lamb_coslr_rsb.py",
    "../_base_/default_runtime.py",
]
