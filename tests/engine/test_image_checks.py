import random
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import EpochBasedTrainLoop
from PIL import Image

from localmim.data import Reason, UnlabelledImages
from localmim.data.unlabelled import UNSEEN
from localmim.engine import UnusableImagesHook
from localmim.engine.image_checks import folders_of_images

PIPELINE = [
    dict(type="LoadImage"),
    dict(type="RandomResizedCrop", scale=16, backend="pillow"),
    dict(type="PackInputs"),
]


def images(folder, good, broken=0):
    """A data set of small images, the broken ones empty, evenly among the good ones."""
    folder.mkdir(exist_ok=True)
    total = good + broken
    empty = set(np.linspace(0, total - 1, broken).astype(int).tolist())
    Image.new("RGB", (9, 9)).save(folder / "first.png")
    for number in range(total):
        path = folder / f"{number:05d}.png"
        if number in empty:
            path.touch()
        else:
            shutil.copy(folder / "first.png", path)
    (folder / "first.png").unlink()
    return UnlabelledImages(str(folder), pipeline=PIPELINE)


def runner(dataset, work_dir):
    loop = EpochBasedTrainLoop.__new__(EpochBasedTrainLoop)
    loop.dataloader = SimpleNamespace(dataset=dataset)
    work_dir.mkdir(exist_ok=True)
    logger = MMLogger.get_instance(f"{work_dir}", log_file=str(work_dir / "log.txt"))
    return SimpleNamespace(_train_loop=loop, work_dir=str(work_dir), logger=logger, iter=0, epoch=0)


def listed(work_dir):
    lines = (work_dir / "unusable_images.tsv").read_text().splitlines()
    assert lines[0] == "path\treason"
    return dict(line.split("\t") for line in lines[1:])


def test_good_folders_pass_and_the_list_is_empty(tmp_path):
    dataset = images(tmp_path / "data", 20)
    run = runner(dataset, tmp_path / "work")
    (tmp_path / "work/unusable_images.tsv").write_text("of an earlier run")
    hook = UnusableImagesHook(samples=8)
    hook.before_run(run)
    assert (dataset.states != UNSEEN).nonzero().flatten().tolist() == [0, 2, 5, 8, 10, 13, 16, 19]
    hook.after_train_epoch(run)
    assert listed(tmp_path / "work") == {}
    assert (tmp_path / "work/log.txt").read_text() == ""


def test_too_many_stop_the_run_before_it_starts(tmp_path):
    dataset = images(tmp_path / "data", 16, 4)
    (tmp_path / "data/00001.png").write_text("no image")
    with pytest.raises(ValueError) as error:
        UnusableImagesHook().before_run(runner(dataset, tmp_path / "work"))
    text = str(error.value)
    assert text.startswith(
        "5 of 20 images that were read are unusable, more than max_share 0.1 of the Unu"
    )
    assert f"4 x empty file, such as\n    {tmp_path}/data/00000.png: empty file\n" in text
    assert f"1 x no image, such as\n    {tmp_path}/data/00001.png: no image" in text
    assert "00019" not in text  # three are named
    assert f"listed in {tmp_path}/work/unusable_images.tsv" in text
    assert listed(tmp_path / "work") == {
        f"{tmp_path}/data/{number:05d}.png": reason
        for number, reason in (
            (0, "empty file"),
            (1, "no image"),
            (6, "empty file"),
            (12, "empty file"),
            (19, "empty file"),
        )
    }
    UnusableImagesHook(max_share=0.25).before_run(runner(dataset, tmp_path / "work"))


def test_a_share_among_few_files_has_to_be_clear(tmp_path):
    """A folder with just less than the limit passes, whatever files are looked at."""
    hook = UnusableImagesHook(max_share=0.1)
    assert hook._allowed(seen=256, total=256) == 25.6
    deviations = np.sqrt(256 * 0.1 * 0.9)
    assert hook._allowed(seen=256, total=10**6) == pytest.approx(25.6 + 3 * deviations)
    drawn = np.random.default_rng(0).binomial(256, 0.1, 100_000)
    assert (drawn > hook._allowed(256, 10**6)).mean() < 0.005
    clear = np.random.default_rng(0).binomial(256, 0.25, 100_000)
    assert (clear > hook._allowed(256, 10**6)).mean() > 0.99
    assert UnusableImagesHook(max_share=0)._allowed(seen=5, total=100) == 0


def test_what_breaks_later_stops_the_run_later(tmp_path):
    dataset = images(tmp_path / "data", 40)
    run = runner(dataset, tmp_path / "work")
    hook = UnusableImagesHook(max_share=0.05, samples=4, interval=10)
    hook.before_run(run)
    for number in (3, 5):
        (tmp_path / f"data/{number:05d}.png").unlink()
    for number in range(40):
        dataset.prepare_data(number)
    run.iter = 8
    hook.after_train_iter(run, 8)
    assert listed(tmp_path / "work") == {}
    run.iter = 9
    hook.after_train_iter(run, 9)
    gone = {f"{tmp_path}/data/{number:05d}.png": "gone" for number in (3, 5)}
    assert listed(tmp_path / "work") == gone
    hook.after_train_epoch(run)
    log = (tmp_path / "work/log.txt").read_text()
    assert f"2 of 40 images read so far (of 40) are unusable, listed in {tmp_path}/work" in log
    (tmp_path / "data/00007.png").unlink()
    dataset.prepare_data(7)
    with pytest.raises(ValueError, match="3 of 40 images that were read are unusable"):
        hook.after_train_epoch(run)
    assert len(listed(tmp_path / "work")) == 3


def test_one_good_image_among_many_broken_ones_is_no_training(tmp_path):
    dataset = images(tmp_path / "data", 1, 99)
    with pytest.raises(ValueError, match="99 of 100 images that were read are unusable"):
        UnusableImagesHook(max_share=0.9).before_run(runner(dataset, tmp_path / "work"))


def test_wrappers_are_looked_through_and_other_data_is_left_alone(tmp_path):
    one, two = images(tmp_path / "one", 3, 1), images(tmp_path / "two", 5)
    wrapper = SimpleNamespace(dataset=ConcatDataset([one, two]))
    assert folders_of_images(wrapper) == [one, two]
    wrapper = SimpleNamespace(datasets=[RepeatDataset(one, 2), two, one])
    assert folders_of_images(wrapper) == [one, two]
    run = runner(wrapper, tmp_path / "work")
    UnusableImagesHook(max_share=0.12).before_run(run)  # one of nine, not one of four
    assert one.states.tolist()[0] == Reason.EMPTY and (two.states != UNSEEN).all()
    other = runner(list(range(5)), tmp_path / "other")
    hook = UnusableImagesHook()
    hook.before_run(other)
    hook.after_train_iter(other, 0)
    hook.after_train_epoch(other)
    assert not (tmp_path / "other/unusable_images.tsv").exists()
    testing = SimpleNamespace(_train_loop=dict(type="EpochBasedTrainLoop"))
    hook.before_run(testing)
    hook.after_train_iter(testing, 0)


def test_names_of_any_bytes_keep_to_their_line(tmp_path):
    (tmp_path / "data").mkdir()
    names = [b"tab\there.png", b"line\nbreak.png", b"back\\slash.png", b"\xff.png"]
    folder = bytes(tmp_path / "data")
    for name in names:
        open(folder + b"/" + name, "w").close()
    hook = UnusableImagesHook(max_share=1)
    dataset = UnlabelledImages(str(tmp_path / "data"), pipeline=PIPELINE)
    hook.before_run(runner(dataset, tmp_path / "work"))
    lines = (tmp_path / "work/unusable_images.tsv").read_bytes().splitlines()[1:]
    paths = {line.split(b"\t")[0] for line in lines}
    escaped = (b"tab\\there.png", b"line\\nbreak.png", b"back\\\\slash.png", b"\xff.png")
    assert paths == {folder + b"/" + name for name in escaped}


def test_a_full_disk_does_not_stop_the_run_and_the_list_is_written_later(tmp_path, monkeypatch):
    hook = UnusableImagesHook(max_share=0.2)
    run = runner(images(tmp_path / "data", 9, 1), tmp_path / "work")

    def full(path):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("localmim.engine.image_checks.written_aside", full)
        hook.before_run(run)
    log = (tmp_path / "work/log.txt").read_text()
    assert "unusable_images.tsv cannot be written: [Errno 28]" in log
    hook.after_train_epoch(run)
    assert len(listed(tmp_path / "work")) == 1


def test_reading_some_images_changes_no_random_numbers(tmp_path):
    dataset = images(tmp_path / "data", 20, 2)

    def drawn():
        return random.random(), np.random.random(), torch.rand(1).item()

    random.seed(0)
    first = drawn()
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    UnusableImagesHook().before_run(runner(dataset, tmp_path / "work"))
    second = drawn()
    assert first == second


def _train_together(rank, folder, work_dir):
    """One of two processes, each of which finds other files broken."""
    torch.set_num_threads(1)
    init_default_scope("mmpretrain")
    store = f"file://{work_dir}/store"
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    dataset = UnlabelledImages(str(folder), pipeline=PIPELINE)
    run = runner(dataset, work_dir / str(rank))
    run.work_dir = str(work_dir)
    hook = UnusableImagesHook(max_share=0.01, samples=4)
    hook.before_run(run)
    for number in (3 * rank + 1, 3 * rank + 2):
        (folder / f"{number:05d}.png").unlink()
        dataset.prepare_data(number)
    for number in range(10, 40):
        dataset.prepare_data(number)
    run.iter = hook.interval - 1
    other = UnlabelledImages(str(folder), pipeline=PIPELINE, indices=20 + rank)
    for call in (
        lambda: hook.after_train_iter(run, 0),
        lambda: UnusableImagesHook().before_run(runner(other, work_dir / str(rank))),
    ):
        with pytest.raises(ValueError) as error:
            call()
        with open(work_dir / f"{rank}.txt", "a") as file:
            file.write(f"{error.value}\n")
    torch.distributed.destroy_process_group()


def test_processes_stop_together_by_what_all_of_them_found(tmp_path):
    """Four files are broken, too many of 35; the two that each process found would not be."""
    images(tmp_path / "data", 40)
    work = tmp_path / "work"
    work.mkdir()
    given = (tmp_path / "data", work)
    mp.start_processes(_train_together, given, nprocs=2, start_method="fork")
    texts = [(work / f"{rank}.txt").read_text() for rank in range(2)]
    assert texts[0] == texts[1]
    assert "4 of 35 images that were read are unusable" in texts[0]
    assert "the processes find different numbers of images below data_root: 20, 21" in texts[0]
    assert len(listed(work)) == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(max_share=1.5), "max_share must be in 0 to 1, got 1.5"),
        (dict(samples=-1), "samples must be an int, 0 or more, got -1"),
        (dict(interval=0), "interval must be an int, 1 or more, got 0"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        UnusableImagesHook(**settings)
