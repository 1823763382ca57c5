# Mask R-CNN with FPN on a ResNet-50 of a quarter of the width, procedural scenes.
_base_ = "mask-rcnn_swin-mini-w4_fpn_1xb4-coslr-450_scenes.py"

norm_cfg = dict(type="SyncBN", requires_grad=True)  # becomes BN on one process or without a GPU

model = dict(
    backbone=dict(
        _delete_=True,
        type="ResNet",
        depth=50,
        stem_channels=16,
        base_channels=16,
        norm_cfg=norm_cfg,
        norm_eval=False,
        init_cfg=dict(type="Pretrained", checkpoint="", prefix="backbone."),
    ),
    neck=dict(in_channels=[64, 128, 256, 512], norm_cfg=norm_cfg),
)
