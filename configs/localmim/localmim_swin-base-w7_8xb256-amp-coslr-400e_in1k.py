# LocalMIM Swin-B with HOG targets, 400 epochs (Wang et al., CVPR 2023).
_base_ = [
    "../_base_/models/localmim_swin-base-w7.py",
    "../_base_/datasets/imagenet_bs256_mim.py",
    "../_base_/schedules/adamw_coslr_mim_swin.py",
    "../_base_/pretraining_runtime.py",
]

train_cfg = dict(max_epochs=400)
