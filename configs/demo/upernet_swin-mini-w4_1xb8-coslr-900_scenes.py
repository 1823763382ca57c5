# UPerNet on the small Swin, procedural scenes, tested on whole images. First
#   python tools/convert.py PRETRAINED.pth backbone.pth --to mmseg
_base_ = [
    "../_base_/models/upernet.py",
    "../_base_/datasets/scenes_ade20k_bs8.py",
    "../_base_/schedules/adamw_coslr_scenes.py",
    "../_base_/segmentation_runtime.py",
]

model = dict(
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(
        type="SwinTransformer",
        embed_dims=48,
        depths=[2, 2, 4, 2],
        num_heads=[2, 4, 8, 16],
        window_size=4,
        drop_path_rate=0.05,
        norm_cfg=dict(type="LN", eps=1e-6),
        init_cfg=dict(type="Pretrained", checkpoint=""),
    ),
    decode_head=dict(
        in_channels=[48, 96, 192, 384], channels=32, num_classes=11, loss_decode=_base_.loss
    ),
    auxiliary_head=dict(in_channels=192, channels=32, num_classes=11, loss_decode=_base_.loss),
)

optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_cfg = dict(max_iters=900, val_interval=900)
