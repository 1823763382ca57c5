# Unlabelled images in tar shards, made of a folder by
#   python tools/make_shards.py FOLDER data/shards
# 128 images per GPU. For very many files, and for network file systems.
# Usually modified: data_root, batch_size, num_workers, the crop's scale and ratio.
_base_ = "folder_bs128_mim.py"

train_dataloader = dict(
    sampler=dict(type="BlockShuffleSampler"),
    dataset=dict(type="ShardedImages", data_root="data/shards"),
)
