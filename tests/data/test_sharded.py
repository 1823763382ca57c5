"""Images in shards against the folder that they were made from."""

import pickle
from collections import Counter

import numpy as np
import pytest
import tifffile
from mmpretrain.registry import DATASETS
from tars import write_shards, write_tar
from torch.utils.data import BatchSampler, DataLoader

from localmim.data import BlockShuffleSampler, Reason, ShardedImages
from localmim.engine.sampling import ResumableBatches

PIPELINE = [dict(type="LoadRandomResizedCrop", scale=64), dict(type="PackImage")]


@pytest.fixture(scope="module")
def shards(photo_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("shards")
    write_shards(photo_folder, out, 7)
    return out


def build(kind, root, **settings):
    settings = dict(pipeline=PIPELINE) | settings
    return DATASETS.build(dict(type=kind, data_root=str(root), **settings))


def test_the_same_images_as_in_the_folder(photo_folder, shards):
    folder, sharded = build("UnlabelledImages", photo_folder), build("ShardedImages", shards)
    assert len(sharded) == len(folder) == 19
    for number in range(19):
        np.random.seed(number)
        one = folder[number]
        np.random.seed(number)
        other = sharded[number]
        assert one["inputs"].equal(other["inputs"]) and one["mirrored"] == other["mirrored"]
        name = one["img_path"].rpartition("/")[2]
        assert other["img_path"] == f"{shards}/shard-{number // 7:06}.tar/{name}"
        assert sharded.path(number) == other["img_path"]


def test_subsets_copies_endings_and_workers(shards):
    sharded = build("ShardedImages", shards, extensions=(".jpg",), indices=[0, 2])
    whole = build("ShardedImages", shards, extensions=(".jpg",))
    assert [sharded.path(n) for n in range(2)] == [whole.path(0), whole.path(2)]
    copies = [pickle.loads(pickle.dumps(whole)), whole.get_subset(list(range(len(whole))))]
    for copy in copies:
        assert copy.path(1) == whole.path(1) and copy[1]["inputs"].shape == (3, 64, 64)
    loader = DataLoader(whole, batch_size=None, num_workers=2)
    assert [sample["img_path"] for sample in loader] == [whole.path(n) for n in range(len(whole))]


def test_unusable_files_are_replaced_and_known(tmp_path, photo_folder):
    good = (photo_folder / "china.jpg").read_bytes()
    contents = {
        "a.jpg": good,
        "b.jpg": b"",
        "c.jpg": good[:9000],
        "notes.txt": b"x",
        ".d.jpg": good,
    }
    write_tar(tmp_path / "one.tar", contents)
    write_shards(tmp_path / "none", tmp_path, 1)
    sharded = build("ShardedImages", tmp_path)
    assert len(sharded) == 3
    assert all(sharded[n]["img_path"].endswith("a.jpg") for n in range(3))
    assert sharded.states.tolist() == [1, Reason.EMPTY, Reason.DAMAGED]


def test_bands(tmp_path):
    pixels = np.random.default_rng(0).normal(size=(20, 30, 5)).astype(np.float32)
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data/a.npy", pixels)
    tifffile.imwrite(tmp_path / "data/b.tif", pixels)
    write_shards(tmp_path / "data", tmp_path, 2)
    load = dict(type="LoadBands", channels=5)
    sharded = build("ShardedImages", tmp_path, pipeline=[load], extensions=(".npy", ".tif"))
    assert all(np.array_equal(sharded[n]["img"], pixels) for n in range(2))


def test_errors_say_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no folder; set it with"):
        ShardedImages(data_root=str(tmp_path / "gone"))
    write_tar(tmp_path / "a.tar", {"notes.txt": b"x"})
    write_shards(tmp_path / "none", tmp_path, 1)
    with pytest.raises(FileNotFoundError, match="hold no image with one of the endings"):
        ShardedImages(data_root=str(tmp_path))


def sampler(length, rank=0, world_size=1, **settings):
    made = BlockShuffleSampler(range(length), seed=3, **dict(block_size=8, blocks=4) | settings)
    made.rank, made.world_size = rank, world_size
    made.num_samples = -(-length // world_size)
    made.total_size = made.num_samples * world_size
    return made


@pytest.mark.parametrize("world_size", [1, 3])
@pytest.mark.parametrize("length", [1, 31, 100, 1000])
def test_processes_share_all_images_evenly(length, world_size):
    parts = [sampler(length, rank, world_size) for rank in range(world_size)]
    drawn = [list(part) for part in parts]
    assert {len(indices) for indices in drawn} == {len(parts[0])}
    counts = Counter(sum(drawn, []))
    assert set(counts) == set(range(length)) and sum(counts.values()) - length < world_size
    whole = list(sampler(length))  # the same order, dealt in turn
    assert [i for group in zip(*drawn, strict=True) for i in group][:length] == whole


def test_the_order_is_random_but_local():
    made = sampler(4096, block_size=16, blocks=8)
    first = list(made)
    assert list(made) == first != sorted(first)
    made.set_epoch(1)
    assert list(made) != first
    for start in range(0, 4096, 128):  # a window is of eight whole blocks, well mixed
        window = first[start : start + 128]
        assert len({index // 16 for index in window}) == 8
        assert len({index // 16 for index in window[:16]}) > 3
    assert list(sampler(100, shuffle=False)) == list(range(100))
    places = np.argsort(first)  # images that are stored far apart can meet
    assert np.abs(np.corrcoef(places, np.arange(4096))[0, 1]) < 0.2


def test_batches_go_on_from_any_place():
    def batches(first):
        made = ResumableBatches(BatchSampler(sampler(100), 6, drop_last=False))
        made.start_at(seed=5, epoch=2, batch=first)
        return list(made)

    for first in (1, 7, 16):
        assert batches(first) == batches(0)[first:]


@pytest.mark.parametrize("settings", [dict(block_size=0), dict(blocks=0), dict(blocks=1.5)])
def test_settings_are_checked(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))} must be an int, 1 or more"):
        BlockShuffleSampler(range(3), **settings)
