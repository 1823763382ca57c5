"""Mistakes in configs, told before anything is built.

mmengine takes any key at the top of a config and passes over those that it does not know; a
mistyped one leaves the default in place, without a word.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from .config_arguments import accepted_arguments, resolve, texts_of
from .config_names import read_config_file
from .image_size import name_of, training_pipelines

# What libraries and tools read at the top of a config, beside the runner's arguments.
_KNOWN = {
    "activation_checkpointing",
    "compile",
    "custom_imports",
    "dataset_meta",
    "deepspeed_config",
    "efficient_conv_bn_eval",
    "env",
    "find_unused_parameters",
    "image_size",
    "model_wrapper_cfg",
    "optimizer_config",
    "runner_type",
    "strategy",
    "sync_bn",
    "tta_model",
    "tta_pipeline",
    "tta_cfg",
    "work_dir",
}
_BUILT = re.compile(r"(.*\.)?(?!(train|val|test|init)_cfg)\w*_cfgs?(\.\d+)?$")
_LOADER = {
    *("dataset", "sampler", "batch_sampler", "batch_size", "shuffle", "num_workers", "collate_fn"),
    *("pin_memory", "drop_last", "timeout", "worker_init_fn", "multiprocessing_context"),
    *("generator", "prefetch_factor", "persistent_workers", "pin_memory_device", "in_order"),
    *("num_batch_per_epoch", "diff_rank_seed"),
}
_OPTIM_WRAPPER = {
    *("type", "constructor", "optimizer", "paramwise_cfg", "clip_grad", "accumulative_counts"),
    *("dtype", "loss_scale", "use_fp64", "cast_dtype"),
}
# Sections without a type, whose keys are read by name. "*" stands for train, val and test.
_SECTIONS = {
    "auto_scale_lr": {"enable", "base_batch_size"},
    "env_cfg": {"cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit"},
    "env_cfg.mp_cfg": {"mp_start_method", "opencv_num_threads"},
    "randomness": {"seed", "diff_rank_seed", "deterministic"},
    "optim_wrapper": _OPTIM_WRAPPER,
    "optim_wrapper.clip_grad": {
        *("type", "max_norm", "norm_type", "error_if_nonfinite", "foreach", "clip_value")
    },
    "train_dataloader": _LOADER,
    "val_dataloader": _LOADER,
    "test_dataloader": _LOADER,
    "train_cfg": {
        *("type", "by_epoch", "max_epochs", "max_iters", "val_begin", "val_interval"),
        "dynamic_intervals",
    },
}


def check_config(cfg: Config) -> None:
    """Refuse a config with keys that nobody reads, or with settings that cannot work.

    Args:
        cfg: of a run, with what the command line says merged into it.

    Raises:
        ValueError: the message names the key with its path, and the nearest one that there is.
    """
    known = {*inspect.signature(Runner.__init__).parameters, *_KNOWN}
    _check_top(cfg, known)
    imports = (cfg.get("custom_imports") or {}).get("imports", ())
    if "localmim" in imports and not any(name.startswith("localmim.") for name in imports):
        raise ValueError("custom_imports: localmim registers nothing; name localmim.parts instead")
    settings = dict(cfg.items())
    scope = cfg.get("default_scope") or "mmengine"
    for section, names in _SECTIONS.items():
        part = _get(settings, section)
        if isinstance(part, Mapping) and not (section == "train_cfg" and "type" in part):
            _check_keys(part, names | _of_its_type(part, section, scope), section)
    for key in known & cfg.keys():
        _check_types(cfg[key], key, scope)
    paramwise = _get(settings, "optim_wrapper.paramwise_cfg")
    constructor = _get(settings, "optim_wrapper.constructor") or "DefaultOptimWrapperConstructor"
    if isinstance(paramwise, Mapping) and (found := resolve(constructor, scope)):
        _check_keys(paramwise, texts_of(found), "optim_wrapper.paramwise_cfg")
    _check_values(settings)
    _check_mirroring(settings, scope)


def _get(cfg: Mapping[str, Any], path: str) -> Any:
    for name in path.split("."):
        cfg = cfg.get(name) if isinstance(cfg, Mapping) else None
    return cfg


def _of_its_type(part: Mapping[str, Any], section: str, scope: str) -> set[str]:
    """What else a section takes because of the type that it names; any, if that is not known."""
    if section != "optim_wrapper" or "type" not in part:
        return set()
    if (found := resolve(part["type"], scope)) is None:
        return {*part}
    # One that hands on whatever it gets hands it to a wrapper with the usual settings.
    return accepted_arguments(found, section) or {*inspect.signature(found).parameters}


def _check_keys(part: Mapping[str, Any], names: Iterable[str], path: str) -> None:
    for key in part:
        if key not in names and not str(key).startswith("_"):
            raise _unknown(f"{path}.{key}" if path else key, key, names)


def _unknown(path: str, key: str, names: Iterable[str], why: str = "nobody reads") -> ValueError:
    nearest = get_close_matches(str(key), [n for n in names if n != key], 1, 0.6)
    prefix = path.removesuffix(str(key))
    hint = f"; did you mean {prefix}{nearest[0]}?" if nearest else ""
    return ValueError(f"{path}: a setting that {why}{hint}")


def _check_top(cfg: Config, known: set[str]) -> None:
    file = read_config_file(Path(cfg.filename)) if cfg.filename else None
    helpers = set()
    if file is not None:
        helpers = set().union(*(part.assigned for part in file.files()))
        settings = [cfg[key] for key in known & cfg.keys()]
        for name, path in file.unread():
            ours = not {"site-packages", ".mim"} & {*path.parts}  # not a library's dead variable
            if name not in cfg or name in known or name.startswith("_") or not ours:
                continue
            if file.plain and _is_trace(name, cfg[name], settings, known):
                continue
            why = f"nobody reads: {path} sets it, and no other setting there uses it"
            raise _unknown(name, name, known, why)
    elif cfg.filename:  # imported bases: any name may be a helper
        return
    if file is None or file.whole:
        _check_keys(cfg, known | helpers, "")


def _is_trace(name: str, value: Any, settings: list, known: set[str]) -> bool:
    """Whether a name is what a helper left in a config that a run has written down.

    There it is no more than a copy of what was made of it, if not something mistyped.
    """
    resembles = get_close_matches(name, known, 1, 0.9)
    container = isinstance(value, (Mapping, list, tuple)) and len(value) > 0
    return not resembles or (container and _contains(settings, value))


def _contains(whole: Any, value: Any) -> bool:
    if whole == value:
        return True
    parts = whole.values() if isinstance(whole, Mapping) else whole
    nested = isinstance(whole, (Mapping, list, tuple))
    return nested and any(_contains(part, value) for part in parts)


def _check_types(value: Any, path: str, scope: str, above: tuple[Callable, ...] = ()) -> None:
    """Compare the keys of every dict that has a type with what that type takes.

    What the source of a type above it names may be taken out of the dict there.
    """
    if isinstance(value, Mapping):
        scope = value.get("_scope_", scope)
        kind = value.get("type")
        # Norms, activations and the like have builders of their own, which take keys out.
        found = resolve(kind, scope) if kind is not None and not _BUILT.match(path) else None
        names = accepted_arguments(found, path) if found else None
        if names is not None:
            strange = [key for key in value if key not in names]
            taken = [key for key in strange if any(key in texts_of(parent) for parent in above)]
            _check_keys(value, {"type", *names, *taken}, path)
        above = (*above, found) if found else above
        for key, part in value.items():
            _check_types(part, f"{path}.{key}", scope, above)
    elif isinstance(value, (list, tuple)):
        for number, part in enumerate(value):
            _check_types(part, f"{path}.{number}", scope, above)


def _check_values(cfg: Mapping[str, Any]) -> None:
    """Numbers that cannot work."""
    for path in ("train_cfg.max_epochs", "train_cfg.max_iters", "train_cfg.val_interval"):
        _check_positive(path, _get(cfg, path))
    for split in ("train", "val", "test"):
        _check_positive(
            f"{split}_dataloader.batch_size", _get(cfg, f"{split}_dataloader.batch_size")
        )
    for path in ("optim_wrapper.accumulative_counts", "auto_scale_lr.base_batch_size"):
        _check_positive(path, _get(cfg, path))


def _check_positive(path: str, number: Any) -> None:
    if isinstance(number, (int, float)) and number <= 0:
        raise ValueError(f"{path}: {number} must be positive")


def _check_mirroring(cfg: Mapping[str, Any], scope: str) -> None:
    """PackImage leaves mirroring to a preprocessor, and not every one does it."""
    from localmim.models import MIMDataPreprocessor

    steps = (step for steps in training_pipelines(cfg) for step in steps)
    packs = [step for step in steps if name_of(step["type"]) == "PackImage"]
    given = _get(cfg, "model.data_preprocessor") or cfg.get("data_preprocessor") or {}
    kind = given.get("type") if isinstance(given, Mapping) else type(given)
    found = resolve(kind, scope) if kind is not None else None
    if packs and not (isinstance(found, type) and issubclass(found, MIMDataPreprocessor)):
        raise ValueError(
            f"data_preprocessor: {kind and name_of(kind)} does not mirror the images that "
            "PackImage of the training pipeline marks: set data_preprocessor.type="
            "MIMDataPreprocessor, or RandomFlip and PackInputs instead of PackImage"
        )
