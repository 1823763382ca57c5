# LocalMIM Swin-T on any folder of unlabelled images:
#   python tools/train.py THIS_FILE --cfg-options train_dataloader.dataset.data_root=FOLDER
# Another length: train_cfg.max_epochs=100 (warm-up: param_scheduler.0.end=5 and
# param_scheduler.1.begin=5). A mask for each image: model.mask_generator.shared=False.
_base_ = [
    "../_base_/datasets/folder_bs128_mim.py",
    "../_base_/schedules/adamw_coslr_mim.py",
    "../_base_/default_runtime.py",
]

model = dict(
    type="LocalMIM",
    backbone=dict(
        type="SparseSwin",
        arch="tiny",
        img_size=224,
        window_size=7,
        out_indices=(0, 1, 2, 3),
        norm_eps=1e-6,
    ),
    mask_generator=dict(type="RandomMasking", cell_size=32, ratio=0.75, shared=True),
    neck=dict(
        type="LocalDecoders",
        in_channels=(192, 384, 768, 768),
        out_channels=27,
        scales=(1, 1, 1, 1),
        embed_dims=(64, 128, 128, 128),
        num_heads=4,
        norm_inputs=False,
        num_extra_tokens=0,
    ),
    target_generator=dict(type="MultiScaleHOG", bins=9, cells=(8, 16, 32, 32)),
    head=dict(type="ReconstructionHead"),
)

optim_wrapper = dict(optimizer=dict(lr=8e-4))
train_cfg = dict(max_epochs=200)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 10  # warm-up
