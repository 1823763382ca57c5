# Linear probing of Swin-B from LocalMIM, 400 epochs: the mean of the last stage.
_base_ = "linear_vit-base-p16_localmim-1600e-pre_8xb2048-amp-coslr-90e_in1k.py"

# All norms as in pre-training here; the plain Swin's eps is 1e-5.
norm_cfg = dict(type="LN", eps=1e-6)
model = dict(
    backbone=dict(
        _delete_=True,
        type="SwinTransformer",
        arch="base",
        img_size=224,
        drop_path_rate=0.0,
        norm_cfg=norm_cfg,
        patch_cfg=dict(norm_cfg=norm_cfg),
        stage_cfgs=dict(
            window_size=7,
            block_cfgs=dict(norm_cfg=norm_cfg),
            downsample_cfg=dict(norm_cfg=norm_cfg),
        ),
        init_cfg=dict(type="Pretrained", checkpoint="", prefix="backbone."),
    ),
    neck=[
        dict(type="GlobalAveragePooling"),
        dict(type="ClsBatchNormNeck", input_features=1024),
    ],
    head=dict(in_channels=1024),
)
