# LocalMIM ViT-B with HOG targets, 1600 epochs (Wang et al., CVPR 2023).
_base_ = [
    "../_base_/models/localmim_vit-base-p16.py",
    "../_base_/datasets/imagenet_bs256_mim.py",
    "../_base_/schedules/adamw_coslr_mim.py",
    "../_base_/pretraining_runtime.py",
]
