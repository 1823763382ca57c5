# UPerNet on a ViT-B, ADE20K (Wang et al., CVPR 2023, appendix). Features are the pre-training
# taps: after blocks 2, 4, 10 and 12. First
#   python tools/convert.py PRETRAINED.pth backbone.pth --to mmseg-mae --image-size 512 512
# then
#   tools/dist_train.sh THIS_FILE 8 --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth
_base_ = [
    "../_base_/models/upernet.py",
    "../_base_/datasets/ade20k_bs2_512x512.py",
    "../_base_/schedules/adamw_poly_160k.py",
    "../_base_/segmentation_runtime.py",
]

model = dict(
    # The backbone takes crops of 512x512 only: narrower test images are padded to that.
    data_preprocessor=_base_.data_preprocessor | dict(test_cfg=dict(size=_base_.crop_size)),
    # Absolute positions and, starting at zero, relative ones in each block.
    backbone=dict(
        type="MAE",
        img_size=_base_.crop_size,
        patch_size=16,
        embed_dims=768,
        num_layers=12,
        num_heads=12,
        mlp_ratio=4,
        init_values=1.0,  # of layer scale
        drop_path_rate=0.1,
        norm_cfg=dict(type="LN", eps=1e-6),
        out_indices=[1, 3, 9, 11],
        init_cfg=dict(type="Pretrained", checkpoint=""),
    ),
    neck=dict(type="Feature2Pyramid", embed_dim=768, rescales=[4, 2, 1, 0.5]),
    decode_head=dict(in_channels=[768, 768, 768, 768], channels=768),
    auxiliary_head=dict(in_channels=768),
    test_cfg=dict(mode="slide", crop_size=_base_.crop_size, stride=(341, 341)),
)

optim_wrapper = dict(
    optimizer=dict(lr=4e-4, weight_decay=0.05),
    constructor="LearningRateDecayOptimizerConstructor",
    paramwise_cfg=dict(num_layers=12, decay_rate=0.65, decay_type="layer_wise"),
)
