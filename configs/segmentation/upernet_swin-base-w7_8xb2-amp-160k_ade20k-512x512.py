# UPerNet on a Swin-B, ADE20K, tested on whole images. First
#   python tools/convert.py PRETRAINED.pth backbone.pth --to mmseg
# then
#   tools/dist_train.sh THIS_FILE 8 --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth
_base_ = [
    "../_base_/models/upernet.py",
    "../_base_/datasets/ade20k_bs2_512x512.py",
    "../_base_/schedules/adamw_poly_160k.py",
    "../_base_/segmentation_runtime.py",
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
        init_cfg=dict(type="Pretrained", checkpoint=""),
    ),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)

optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            "relative_position_bias_table": dict(decay_mult=0.0),
            "norm": dict(decay_mult=0.0),
        }
    )
)
