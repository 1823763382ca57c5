# Mask R-CNN with FPN on a ResNet-50, COCO, 12 epochs at several scales, SGD (the release of A2MIM,
# Li et al., ICML 2023, which follows OpenMMLab's benchmarks of self-supervised encoders). First
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
    roi_head=dict(
        bbox_head=dict(type="Shared4Conv1FCBBoxHead", norm_cfg=norm_cfg),
        mask_head=dict(norm_cfg=norm_cfg),
    ),
)

# The shorter side from 640 to 800.
train_pipeline = _base_.train_pipeline
train_pipeline[2] = dict(
    type="RandomChoiceResize",
    scales=[(1333, 640), (1333, 672), (1333, 704), (1333, 736), (1333, 768), (1333, 800)],
    keep_ratio=True,
)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type="SGD", lr=0.02, momentum=0.9, weight_decay=1e-4)
)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=False, begin=0, end=500),
    dict(type="MultiStepLR", by_epoch=True, milestones=[8, 11], gamma=0.1),
]
