# Mask R-CNN with FPN on a Swin-B, COCO, 12 epochs at one scale. First
#   python tools/convert.py PRETRAINED.pth backbone.pth --to mmdet
# then
#   tools/dist_train.sh THIS_FILE 8 --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth
_base_ = [
    "../_base_/models/mask-rcnn_fpn.py",
    "../_base_/datasets/coco_instance_bs2.py",
    "../_base_/schedules/adamw_multistep_12e.py",
    "../_base_/detection_runtime.py",
]

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(
        type="SwinTransformer",
        pretrain_img_size=224,
        embed_dims=128,
        depths=[2, 2, 18, 2],
        num_heads=[4, 8, 16, 32],
        window_size=7,
        drop_path_rate=0.3,
        norm_cfg=dict(type="LN", eps=1e-6),  # as LocalMIM pre-trains; supervised Swins: 1e-5
        init_cfg=dict(type="Pretrained", checkpoint=""),
    ),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)

optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            "relative_position_bias_table": dict(decay_mult=0.0),
            "norm": dict(decay_mult=0.0),
        }
    )
)
