# Mask R-CNN on a plain ViT-B with a simple feature pyramid, COCO, 100 epochs with large-scale
# jitter (Li et al., "Exploring Plain Vision Transformer Backbones for Object Detection", 2022).
# Checkpoints of this project's pre-training need no conversion (others: --to mmpretrain):
#   tools/dist_train.sh THIS_FILE 8 --cfg-options model.backbone.init_cfg.checkpoint=PRETRAINED.pth
_base_ = [
    "../_base_/models/mask-rcnn_fpn.py",
    "../_base_/datasets/coco_instance_bs8_lsj-1024.py",
    "../_base_/schedules/adamw_multistep_12e.py",
    "../_base_/detection_runtime.py",
]

head_norm_cfg = dict(type="mmpretrain.LN2d", eps=1e-6)

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    # Windows of 14x14 patches; blocks 3, 6, 9 and 12 attend globally.
    backbone=dict(
        type="WindowViT",
        arch="base",
        img_size=224,  # of pre-training
        patch_size=16,
        input_size=1024,
        window_size=14,
        drop_path_rate=0.1,
        init_cfg=dict(type="Pretrained", checkpoint="", prefix="backbone."),
    ),
    neck=dict(_delete_=True, type="SimpleFeaturePyramid", in_channels=768, out_channels=256),
    rpn_head=dict(num_convs=2),
    roi_head=dict(
        bbox_head=dict(
            type="Shared4Conv1FCBBoxHead", conv_out_channels=256, norm_cfg=head_norm_cfg
        ),
        mask_head=dict(norm_cfg=head_norm_cfg),
    ),
    train_cfg=dict(rcnn=dict(assigner=dict(match_low_quality=False))),
)

optim_wrapper = dict(
    optimizer=dict(weight_decay=0.1),
    constructor="BackboneLayerDecay",
    paramwise_cfg=dict(
        layer_decay_rate=0.7,
        norm_decay_mult=0.0,
        custom_keys={"pos_embed": dict(decay_mult=0.0)},
    ),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=False, begin=0, end=250),
    dict(type="MultiStepLR", by_epoch=True, milestones=[89, 96], gamma=0.1),
]
train_cfg = dict(max_epochs=100, val_interval=5)
auto_scale_lr = dict(base_batch_size=64)
