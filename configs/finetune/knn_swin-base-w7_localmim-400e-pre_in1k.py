# k nearest neighbours of the mean of Swin-B's last stage in the training images:
#   python tools/test.py THIS_FILE PRETRAINED.pth
_base_ = "knn_vit-base-p16_localmim-1600e-pre_in1k.py"

# All norms as in pre-training here; the plain Swin's eps is 1e-5.
norm_cfg = dict(type="LN", eps=1e-6)
model = dict(
    backbone=dict(
        _delete_=True,
        type="SwinTransformer",
        arch="base",
        img_size=224,
        norm_cfg=norm_cfg,
        patch_cfg=dict(norm_cfg=norm_cfg),
        stage_cfgs=dict(
            window_size=7,
            block_cfgs=dict(norm_cfg=norm_cfg),
            downsample_cfg=dict(norm_cfg=norm_cfg),
        ),
        init_cfg=dict(type="Pretrained", checkpoint="", prefix="backbone."),
    ),
)
