"""Errors in data sets, told before or at the first batch."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import BaseLoop
from torch import Tensor, nn

IGNORED = 255  # label of pixels that count for nothing, in mmseg


def check_data_paths(cfg: Mapping[str, Any], splits: Sequence[str]) -> None:
    """Make sure that the folders and files of a config's data sets exist.

    Args:
        cfg: the config of a run.
        splits: of "train", "val" and "test", those that will be used.

    Raises:
        FileNotFoundError: one does not; the message names the setting.
    """
    loaders = {f"{split}_dataloader": cfg.get(f"{split}_dataloader") for split in splits}
    if isinstance(model := cfg.get("model"), Mapping):
        loaders["model.bank_dataloader"] = model.get("bank_dataloader")
    for name, loader in loaders.items():
        for setting, dataset in _datasets(name, loader):
            _check_dataset(setting, dataset)
    for split in splits:
        evaluators = cfg.get(f"{split}_evaluator") or []
        for evaluator in [evaluators] if isinstance(evaluators, Mapping) else evaluators:
            if isinstance(evaluator, Mapping):
                _demand(f"{split}_evaluator.ann_file", evaluator.get("ann_file"))


def _datasets(setting: str, parent: Any) -> Iterator[tuple[str, Mapping]]:
    """Every data set under a data loader or a wrapper, and the setting that describes it."""
    if not isinstance(parent, Mapping):  # an object is already built, and None is not used
        return
    if isinstance(dataset := parent.get("dataset"), Mapping):
        yield from _datasets(f"{setting}.dataset", dataset)
    elif isinstance(parts := parent.get("datasets"), Sequence):
        for number, part in enumerate(parts):
            yield from _datasets(f"{setting}.datasets.{number}", part)
    elif "type" in parent:
        yield setting, parent


def _check_dataset(setting: str, dataset: Mapping[str, Any]) -> None:
    root = dataset.get("data_root") or ""
    _demand(f"{setting}.data_root", root)
    _demand(f"{setting}.ann_file", dataset.get("ann_file"), root)
    prefixes = dataset.get("data_prefix")
    if isinstance(prefixes, Mapping):
        for key, prefix in prefixes.items():
            _demand(f"{setting}.data_prefix.{key}", prefix, root)
    else:
        _demand(f"{setting}.data_prefix", prefixes, root)


def _demand(setting: str, path: Any, root: str = "") -> None:
    """Raise unless a local path exists; what is no text or lies elsewhere is left to its reader."""
    if not path or not isinstance(path, str) or "://" in f"{root}{path}":
        return
    if not Path(root, path).exists():
        raise FileNotFoundError(
            f"{setting}: {str(Path(root, path))!r} does not exist. Put the data there, or name "
            f"another place with --cfg-options {setting}=PATH"
        )


def _classes_of_heads(model: nn.Module) -> dict[str, int]:
    """Settings of the model that count the classes; proposals have one class, the object."""
    counts = {}
    for name, module in model.named_modules():
        count = getattr(module, "num_classes", None)
        if isinstance(count, int) and "rpn" not in name:
            parent = "" if name == "data_preprocessor" else "model."
            counts[f"{parent}{name}".removesuffix(".")] = count
    return counts


def _labels(sample: Any) -> Tensor | None:
    """The labels of a data sample of mmpretrain, mmseg or mmdet."""
    if "gt_label" in sample:
        return sample.gt_label
    if "gt_sem_seg" in sample:
        labels = sample.gt_sem_seg.data
        return labels[labels != IGNORED]
    return sample.gt_instances.labels if "gt_instances" in sample else None


@HOOKS.register_module()
class DataCheckHook(Hook):
    """Compare the classes of the data with those of the model.

    Before the run: every data set has images, training and validation have the same classes, and
    the heads as many. In every batch: labels are within range. The labels are still on the CPU
    there, where looking at them costs no wait for the device; on a GPU a label out of range would
    end the process in an assertion that names neither file nor label.

    Raises:
        ValueError: the message names what to set, or the file.
    """

    def before_run(self, runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        counts = _classes_of_heads(model)
        self.num_classes = max(counts.values(), default=None)
        known: dict[str, tuple[str, ...]] = {}
        for split in ("train", "val", "test"):
            loop = getattr(runner, f"_{split}_loop")
            if not isinstance(loop, BaseLoop):
                continue
            dataset = loop.dataloader.dataset
            if len(dataset) == 0:
                raise ValueError(
                    f"{split}_dataloader.dataset has no images. Are its folder, its classes "
                    f"({_few(_classes(dataset))}) and its annotations those of one data set?"
                )
            if counts and (classes := _classes(dataset)):
                _check_counts(split, classes, counts)
                known[split] = classes
        if len(set(known.values())) > 1:
            texts = [f"{split}: {len(c)} ({_few(c)})" for split, c in known.items()]
            raise ValueError(
                f"training and validation have different classes, {'; '.join(texts)}; labels "
                "would not mean the same. Every class needs its folder or name in both"
            )

    def _check_batch(self, runner, batch_idx: int, data_batch=None) -> None:
        if self.num_classes is None or not isinstance(data_batch, Mapping):
            return
        for sample in data_batch.get("data_samples") or ():
            labels = _labels(sample)
            if labels is None or labels.numel() == 0:
                continue
            least, most = int(labels.min()), int(labels.max())
            if least < 0 or most >= self.num_classes:
                raise ValueError(
                    f"{sample.get('img_path')}: label {most if least >= 0 else least}, but the "
                    f"model has {self.num_classes} classes, 0 to {self.num_classes - 1}. Set the "
                    "model's num_classes, or mend the labels (segmentation maps: does 0 mean "
                    "a class? then reduce_zero_label=False)"
                )

    before_train_iter = before_val_iter = before_test_iter = _check_batch


def _classes(dataset: Any) -> tuple[str, ...]:
    return tuple((getattr(dataset, "metainfo", None) or {}).get("classes") or ())


def _few(classes: tuple[str, ...]) -> str:
    return ", ".join(map(str, classes[:4])) + (", ..." if len(classes) > 4 else "")


def _check_counts(split: str, classes: tuple[str, ...], counts: dict[str, int]) -> None:
    wrong = [setting for setting, count in counts.items() if count != len(classes)]
    if wrong:
        options = " ".join(f"{setting}.num_classes={len(classes)}" for setting in wrong)
        raise ValueError(
            f"{split}_dataloader.dataset has {len(classes)} classes ({_few(classes)}), "
            f"{wrong[0]}.num_classes is {counts[wrong[0]]}: --cfg-options {options}"
        )
