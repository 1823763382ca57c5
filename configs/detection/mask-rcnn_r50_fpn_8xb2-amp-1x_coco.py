# Mask R-CNN with FPN on a ResNet-50, COCO, 12 epochs at one scale, SGD. First
#   python tools/convert.py PRETRAINED.pth backbone.pth --to mmdet
# then
#   tools/dist_train.sh THIS_FILE 8 --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth
_base_ = [
    "../_base_/models/mask-rcnn_fpn.py",
    "../_base_/datasets/coco_instance_bs2.py",
    "../_base_/schedules/adamw_multistep_12e.py",
    "../_base_/detection_runtime.py",
]

# Nothing is frozen: statistics of pre-training without labels are not those of detection.
norm_cfg = dict(type="SyncBN", requires_grad=True)  # becomes BN on one process or without a GPU

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(
        type="ResNet",
        depth=50,
        frozen_stages=-1,
        norm_cfg=norm_cfg,
        norm_eval=False,
        init_cfg=dict(type="Pretrained", checkpoint="", prefix="backbone."),
    ),
    neck=dict(in_channels=[256, 512, 1024, 2048], norm_cfg=norm_cfg),
)

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type="SGD", lr=0.02, momentum=0.9, weight_decay=1e-4)
)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=False, begin=0, end=500),
    dict(type="MultiStepLR", by_epoch=True, milestones=[8, 11], gamma=0.1),
]
