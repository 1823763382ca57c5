# LocalMIM ViT-B, 100 epochs, warm-up 10.
_base_ = "localmim_vit-base-p16_8xb256-amp-coslr-1600e_in1k.py"

train_cfg = dict(max_epochs=100)
param_scheduler = [
    dict(
        type="LinearLR",
        start_factor=1e-6,
        by_epoch=True,
        begin=0,
        end=10,
        convert_to_iter_based=True,
    ),
    dict(
        type="CosineAnnealingLR",
        eta_min=1e-6,
        by_epoch=True,
        begin=10,
        convert_to_iter_based=True,
    ),
]
