"""Images in tar shards as a data set, and the order in which to read them."""

from collections.abc import Iterator
from pathlib import Path

import torch
from mmengine.dataset import DefaultSampler
from mmpretrain.registry import DATA_SAMPLERS, DATASETS

from .shards import ReadMember, read_index, wanted_members
from .unlabelled import UnlabelledImages


@DATASETS.register_module()
class ShardedImages(UnlabelledImages):
    """All images in a folder of tar shards, without labels.

    For very many files and for network file systems, which open a few large files instead of each
    image. ``tools/make_shards.py`` makes the shards, and the index that this needs; tars in
    webdataset's layout need the index alone. An image is one read of a range of bytes, so that any
    sampler goes with it, resuming is exact, and processes share the images evenly, whatever the
    number of shards.

    What the transforms get has ``img_bytes``, the content of the file, and as ``img_path`` its name
    behind its shard's; the first one has to be ``LoadRandomResizedCrop``, ``LoadImage`` or
    ``LoadBands``.

    Args:
        data_root: folder of the shards and their index.
        pipeline: transforms, the loader first.
        extensions: endings of the files to take, in lower case.
        **kwargs: other arguments of mmengine's BaseDataset.

    Raises:
        FileNotFoundError: the folder, the index, a shard or images in them are missing.
        ValueError: the shards are not those of the index.
    """

    def load_data_list(self) -> list[dict]:
        root = Path(self.data_root)
        if not root.is_dir():
            raise FileNotFoundError(
                f"data_root {self.data_root!r} is no folder; set it with "
                "--cfg-options train_dataloader.dataset.data_root=FOLDER"
            )
        index = read_index(root)
        self.shards = [str(root / name) for name in index.shards]
        self.pipeline.transforms.insert(0, ReadMember(self.shards))
        columns = zip(
            index.names,
            index.shard.tolist(),
            index.offset.tolist(),
            index.size.tolist(),
            strict=True,
        )
        keys = ("name", "shard", "offset", "size")
        rows = [dict(zip(keys, row, strict=True)) for row in columns]
        taken = [rows[number] for number in wanted_members(index, self.is_valid_file)]
        if not taken:
            raise FileNotFoundError(
                f"the shards in {self.data_root!r} hold no image with one of the endings "
                f"{' '.join(sorted(self.extensions))}"
            )
        return taken

    def get_data_info(self, idx: int) -> dict:
        info = super().get_data_info(idx)
        return info | dict(img_path=f"{self.shards[info['shard']]}/{info.pop('name')}")


@DATA_SAMPLERS.register_module()
class BlockShuffleSampler(DefaultSampler):
    """Images in an order that is random, but near to how they are stored.

    Blocks of consecutive images are shuffled, and then the images of every few blocks among each
    other. So a process reads from a bounded part of the data at a time, which storage and page
    cache deliver in large pieces. Everything else is as with DefaultSampler.

    Args:
        dataset: with a length.
        shuffle: whether to shuffle at all.
        seed: of the run; by default the same random one on all processes.
        round_up: whether images are repeated until all processes have equally many.
        block_size: consecutive images of a block.
        blocks: so many are shuffled together. With 256 images each, 64 blocks are 16384 images, 2
            GB of photographs of 500 pixels.
    """

    def __init__(
        self,
        dataset,
        shuffle: bool = True,
        seed: int | None = None,
        round_up: bool = True,
        block_size: int = 256,
        blocks: int = 64,
    ) -> None:
        for name, value in (("block_size", block_size), ("blocks", blocks)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be an int, 1 or more, got {value!r}")
        super().__init__(dataset, shuffle, seed, round_up)
        self.block_size, self.blocks = block_size, blocks

    def __iter__(self) -> Iterator[int]:
        indices = torch.arange(len(self.dataset))
        if self.shuffle:
            indices = self._shuffled(indices)
        # As many as there are places, from the beginning again.
        indices = indices.repeat(-(-self.total_size // len(indices)))[: self.total_size]
        return iter(indices[self.rank :: self.world_size].tolist())

    def _shuffled(self, indices: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        blocks = indices.split(self.block_size)
        order = torch.randperm(len(blocks), generator=generator).tolist()
        windows = torch.cat([blocks[number] for number in order]).split(
            self.block_size * self.blocks
        )
        shuffled = [w[torch.randperm(len(w), generator=generator)] for w in windows]
        return torch.cat(shuffled)
