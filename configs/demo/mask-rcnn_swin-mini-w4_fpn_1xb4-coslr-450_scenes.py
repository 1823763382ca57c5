# Mask R-CNN on the small Swin with FPN, procedural scenes. First
#   python tools/convert.py PRETRAINED.pth backbone.pth --to mmdet
_base_ = "mask-rcnn_vit-mini-p8_sfp_1xb4-coslr-450_scenes.py"

strides = [4, 8, 16, 32, 64]

model = dict(
    backbone=dict(
        _delete_=True,
        type="SwinTransformer",
        embed_dims=48,
        depths=[2, 2, 4, 2],
        num_heads=[2, 4, 8, 16],
        window_size=4,
        drop_path_rate=0.05,
        norm_cfg=dict(type="LN", eps=1e-6),
        init_cfg=dict(type="Pretrained", checkpoint=""),
    ),
    neck=dict(
        _delete_=True, type="FPN", in_channels=[48, 96, 192, 384], out_channels=64, num_outs=5
    ),
    rpn_head=dict(anchor_generator=dict(strides=strides)),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=strides[:4], finest_scale=28),
        mask_roi_extractor=dict(featmap_strides=strides[:4], finest_scale=28),
    ),
)

optim_wrapper = dict(
    constructor="DefaultOptimWrapperConstructor", paramwise_cfg=dict(_delete_=True)
)
