# Mask R-CNN on the small ViT with a simple feature pyramid, procedural scenes; reads checkpoints
# of pre-training as they are.
_base_ = [
    "../_base_/models/mask-rcnn_fpn.py",
    "../_base_/datasets/scenes_coco_bs4.py",
    "../_base_/schedules/adamw_coslr_scenes.py",
    "../_base_/detection_runtime.py",
]

strides = [2, 4, 8, 16, 32]

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(
        type="WindowViT",
        arch=dict(embed_dims=128, num_layers=8, num_heads=4, feedforward_channels=512),
        img_size=64,
        patch_size=8,
        input_size=64,
        window_size=4,
        drop_path_rate=0.05,
        init_cfg=dict(type="Pretrained", checkpoint="", prefix="backbone."),
    ),
    neck=dict(_delete_=True, type="SimpleFeaturePyramid", in_channels=128, out_channels=64),
    rpn_head=dict(
        in_channels=64, feat_channels=64, anchor_generator=dict(scales=[4], strides=strides)
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64, featmap_strides=strides[:4], finest_scale=14),
        bbox_head=dict(in_channels=64, fc_out_channels=128, num_classes=10),
        mask_roi_extractor=dict(out_channels=64, featmap_strides=strides[:4], finest_scale=14),
        mask_head=dict(num_convs=1, in_channels=64, conv_out_channels=64, num_classes=10),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=200, max_per_img=100), rcnn=dict(sampler=dict(num=32))
    ),
    test_cfg=dict(rpn=dict(nms_pre=100, max_per_img=50)),
)

optim_wrapper = dict(
    constructor="BackboneLayerDecay",
    paramwise_cfg=dict(layer_decay_rate=0.9),
)

train_cfg = dict(max_iters=450, val_interval=450)

default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=16000, max_keep_ckpts=1),
)
log_processor = dict(by_epoch=False)
