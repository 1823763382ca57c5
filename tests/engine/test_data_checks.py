from types import SimpleNamespace

import pytest
import torch
from mmengine.dataset import BaseDataset
from mmengine.runner import EpochBasedTrainLoop, ValLoop
from mmengine.structures import PixelData
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample
from torch import nn

from localmim.engine import DataCheckHook, check_data_paths


def loader(**dataset):
    return dict(batch_size=2, dataset=dict(type="Any", **dataset))


def test_existing_paths_and_foreign_ones_pass(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "list.json").touch()
    cfg = dict(
        train_dataloader=loader(
            data_root=str(tmp_path), ann_file="list.json", data_prefix=dict(img="images/", seg=None)
        ),
        val_dataloader=loader(data_root="s3://bucket/data", ann_file="list.json"),
        val_evaluator=[dict(type="Metric"), dict(ann_file=str(tmp_path / "list.json"))],
        test_dataloader=None,
    )
    check_data_paths(cfg, ["train", "val", "test"])


@pytest.mark.parametrize(
    ("dataset", "setting"),
    [
        (dict(data_root="{}/gone"), "train_dataloader.dataset.data_root: '{}/gone'"),
        (dict(data_root="{}", ann_file="gone"), "train_dataloader.dataset.ann_file: '{}/gone'"),
        (dict(data_root="{}", data_prefix="gone"), "train_dataloader.dataset.data_prefix: '{}/"),
        (
            dict(data_root="{}", data_prefix=dict(seg_map_path="gone")),
            "train_dataloader.dataset.data_prefix.seg_map_path: '{}/gone'",
        ),
        (
            dict(dataset=dict(type="Any", data_root="{}/gone")),
            "train_dataloader.dataset.dataset.data_root: '{}/gone'",
        ),
        (
            dict(datasets=[dict(type="Any"), dict(type="Any", data_root="{}/gone")]),
            "train_dataloader.dataset.datasets.1.data_root: '{}/gone'",
        ),
    ],
)
def test_what_does_not_exist_is_named_with_its_setting(tmp_path, dataset, setting):
    def filled(value):
        if isinstance(value, dict):
            return {key: filled(x) for key, x in value.items()}
        if isinstance(value, list):
            return [filled(x) for x in value]
        return value.format(tmp_path)

    cfg = dict(train_dataloader=loader(**filled(dataset)))
    with pytest.raises(FileNotFoundError) as error:
        check_data_paths(cfg, ["train"])
    assert str(error.value).startswith(setting.format(tmp_path))
    assert "--cfg-options train_dataloader" in str(error.value)
    check_data_paths(cfg, ["val", "test"])


def test_annotations_of_an_evaluator_are_looked_for():
    with pytest.raises(FileNotFoundError, match="^val_evaluator.ann_file: 'gone.json'"):
        check_data_paths(dict(val_evaluator=dict(ann_file="gone.json")), ["val"])


class Head(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes


def runner(num_classes=3, train=("a", "b", "c"), val=("a", "b", "c"), images=4):
    model = nn.ModuleDict({"head": Head(num_classes), "rpn_head": Head(1)})

    def loop(kind, classes):
        data = [dict(number=n) for n in range(images)]
        dataset = BaseDataset(metainfo=dict(classes=classes), lazy_init=True)
        dataset.data_list, dataset._fully_initialized, dataset.serialize_data = data, True, False
        made = kind.__new__(kind)
        made.dataloader = SimpleNamespace(dataset=dataset)
        return made

    return SimpleNamespace(
        model=model,
        _train_loop=loop(EpochBasedTrainLoop, train),
        _val_loop=loop(ValLoop, val),
        _test_loop=dict(type="TestLoop"),
    )


def test_data_that_fits_the_model_passes():
    DataCheckHook().before_run(runner())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            dict(num_classes=5),
            r"train_dataloader.dataset has 3 classes \(a, b, c\), model.head.num_classes is 5: "
            "--cfg-options model.head.num_classes=3",
        ),
        (dict(val=("a", "c", "d")), r"different classes, train: 3 \(a, b, c\); val: 3 \(a, c, d\)"),
        (dict(images=0), "train_dataloader.dataset has no images"),
    ],
)
def test_other_classes_and_empty_sets_are_refused_before_the_run(changes, message):
    with pytest.raises(ValueError, match=message):
        DataCheckHook().before_run(runner(**changes))


def class_batch(label):
    return dict(data_samples=[DataSample(metainfo=dict(img_path="x.png")).set_gt_label(label)])


def map_batch(label):
    sample = SegDataSample(metainfo=dict(img_path="x.png"))
    labels = torch.tensor([[0, 255, 1, label]])
    sample.gt_sem_seg = PixelData(data=labels[None])
    return dict(data_samples=[sample])


@pytest.mark.parametrize("batch", [class_batch, map_batch])
@pytest.mark.parametrize("when", ["before_train_iter", "before_val_iter", "before_test_iter"])
def test_labels_out_of_range_are_named_with_their_file(batch, when):
    hook = DataCheckHook()
    run = runner()
    hook.before_run(run)
    check = getattr(hook, when)
    check(run, 0, batch(2))
    with pytest.raises(ValueError, match="x.png: label 3, but the model has 3 classes, 0 to 2"):
        check(run, 0, batch(3))


def test_data_without_labels_is_left_alone():
    hook = DataCheckHook()
    run = runner()
    hook.before_run(run)
    hook.before_train_iter(run, 0, dict(inputs=[torch.zeros(1)], data_samples=[DataSample()]))
    run.model = nn.Linear(1, 1)
    hook.before_run(run)
    hook.before_train_iter(run, 0, class_batch(7))
