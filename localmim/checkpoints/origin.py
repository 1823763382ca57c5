"""What a checkpoint file says of its model and training besides the weights."""

import ast
from collections.abc import Mapping
from typing import Any

SEEN = ("mean", "std", "colour_order", "norm_eps")  # that a model computes with besides weights
_WITH_DEFAULT_SIZE = (
    "BEiTViT",
    "IRPEViT",
    "MaskedViT",
    "ReleasedSwin",
    "SparseSwin",
    "SparseViT",
    "SwinTransformer",
    "VisionTransformer",
)


def origin_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """Image size, heads, targets and epochs, as far as a file tells them.

    Args:
        content: what was loaded from the file.

    Returns:
        Some of ``image_size`` (height, width), ``num_heads`` per stage, ``targets``, ``epochs``;
        ``mean`` and ``std`` by which images of 0 to 1 were normalised, of R, G and B or of
        grey, with ``colour_order`` where the model sees B, G and R; ``norm_eps`` of a Swin.
    """
    meta = content.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    if "localmim_version" in meta:
        kept = ("image_size", "num_heads", "targets", "epochs", *SEEN)
        return {name: meta[name] for name in kept if name in meta}
    known: dict[str, Any] = {}
    if isinstance(meta.get("cfg"), str):
        known = _from_config(meta["cfg"])
    if isinstance(meta.get("epoch"), int):
        if meta["epoch"]:  # a training that counts iterations has 0
            known["epochs"] = meta["epoch"]
    elif isinstance(content.get("epoch"), int):
        known["epochs"] = content["epoch"] + 1  # research code saves the last one's number from 0
    return known


def _from_config(text: str) -> dict[str, Any]:
    """What the config of a run says, without running it."""
    settings = read_assignments(text)
    model = settings.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("backbone"), dict):
        return {}
    backbone, known = model["backbone"], {}
    size, arch = backbone.get("img_size"), backbone.get("arch")
    if size is None and backbone.get("type") in _WITH_DEFAULT_SIZE:
        size = 224
    if size is None:  # a convolutional encoder takes any; what it was trained on
        size = settings.get("image_size")
    if _are_counts(size):
        known["image_size"] = [size, size] if isinstance(size, int) else list(size)
    if isinstance(arch, dict) and "num_heads" in arch:
        heads = arch["num_heads"]
        if _are_counts(heads):
            known["num_heads"] = [heads] if isinstance(heads, int) else list(heads)
    known |= _seen_images(settings) | _norm_eps(backbone)
    generator = model.get("target_generator")
    if not isinstance(generator, dict):
        return known
    if generator.get("type") == "MultiScaleHOG":
        known["targets"] = f"HOG, {generator.get('bins', 9)} bins"
    elif generator.get("type") == "MultiScalePixels":
        known["targets"] = "pixels"
    return known


def _seen_images(settings: Mapping[str, Any]) -> dict[str, Any]:
    """How images of 8 bits, in three colours or grey, reach a model."""
    preprocessor = settings.get("data_preprocessor")
    if not isinstance(preprocessor, dict):
        return {}
    values = {name: preprocessor.get(name) for name in ("mean", "std")}
    grey = preprocessor.get("grey", False)
    count = 1 if grey else 3
    for value in values.values():
        numbers = value if isinstance(value, (list, tuple)) else ()
        if len(numbers) != count or not all(isinstance(x, (int, float)) for x in numbers):
            return {}
    known: dict[str, Any] = {name: [x / 255 for x in value] for name, value in values.items()}
    if not grey and not preprocessor.get("to_rgb", False):  # images are loaded as B, G, R
        known = {name: value[::-1] for name, value in known.items()} | {"colour_order": "BGR"}
    return known


def _norm_eps(backbone: Mapping[str, Any]) -> dict[str, float]:
    """The eps of a Swin's norms, which libraries differ in."""
    if backbone.get("type") not in ("SparseSwin", "ReleasedSwin"):
        return {}
    eps = backbone.get("norm_eps", 1e-5)
    return {"norm_eps": eps} if isinstance(eps, float) else {}


def _are_counts(value: Any) -> bool:
    values = value if isinstance(value, (list, tuple)) else [value]
    return all(isinstance(number, int) for number in values)


def read_assignments(text: str) -> dict[str, Any]:
    """The assignments of a config file whose values are numbers, text, lists, dicts and tuples."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # all of them on hostile text
        return {}
    values = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            try:
                values[statement.targets[0].id] = _literal(statement.value)
            except (TypeError, RecursionError):  # no value at all, such as {[]: 1}
                continue
    return values


def _literal(node: ast.expr) -> Any:
    """The value of an expression without names or calls, except ``dict(...)``; else None."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        return {keyword.arg: _literal(keyword.value) for keyword in node.keywords}
    if isinstance(node, (ast.List, ast.Tuple)):
        items = [_literal(item) for item in node.elts]
        return items if isinstance(node, ast.List) else tuple(items)
    if isinstance(node, ast.Dict):
        return {_literal(k): _literal(v) for k, v in zip(node.keys, node.values, strict=True) if k}
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError):
        return None
