"""The neutral form that all kinds of checkpoints are read into, and what completes it.

Names are those of timm's Vision Transformer, extended. A ViT has ``cls_token``, ``pos_embed``,
``patch_embed``, ``blocks.N.{norm1, attn.qkv, attn.proj, norm2, mlp.fc1, mlp.fc2}`` and ``norm``
or, with average pooling, ``fc_norm``; blocks may have ``ls1`` and ``ls2`` (layer scale),
``attn.rel_table`` (BEiT's relative position bias) or ``attn.irpe`` (LoMaR's tables). A Swin has
``patch_norm``, ``stages.S.blocks.N`` with ``attn.rel_table``, ``stages.S.merge.{norm, reduction}``
with channel-major weights (as ``nn.Unfold``) and ``norm``; ``stage_norms.T`` before and
``tap_norms.T`` after merging. A ResNet has torchvision's names. A ConvNeXt has ``stem.{0, 1}``,
``stages.S.downsample.{0, 1}`` from the second stage on, ``stages.S.blocks.N.{conv_dw, norm,
mlp.fc1, mlp.fc2}`` and ``norm``; blocks may have ``gamma`` (layer scale) or ``mlp.grn`` (response
norm), outputs before the last ``stage_norms.T``. All may have ``head``, ``mask_token``,
``mask_gamma`` and ``pixel_decoder``, ``decoders.T`` with their taps' norms ``tap_norms.T``, and
``targets.offsets.T``.
"""

from collections.abc import Iterable, Set
from itertools import product

from .rules import match

BLOCK = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
_CONVNEXT_BLOCK = ("conv_dw", "norm", "mlp.fc1", "mlp.fc2")
_PAIR = ("weight", "bias")
_BATCH_NORM = (*_PAIR, "running_mean", "running_var", "num_batches_tracked")
# Parts that a checkpoint may lack as a whole.
_OPTIONAL = (
    "norm.{p}",
    "fc_norm.{p}",
    "head.{p}",
    "pixel_decoder.{p}",
    "tap_norms.{t}.{p}",
    "stage_norms.{t}.{p}",
    "decoders.{t}.rescale.{k}.{p}",
)
_BLOCK_EXTRAS = (
    "ls1",
    "ls2",
    "attn.rel_table",
    "attn.irpe",
    "gamma",
    "mlp.grn.weight",
    "mlp.grn.bias",
)


def expected_names(family: str, names: Set[str]) -> set[str]:
    """Everything that has to be there, given what is.

    Args:
        family: "vit", "swin", "resnet" or "convnext".
        names: of the tensors that were found, in the neutral form.
    """
    expected = set(_FAMILIES[family](names)) | set(_decoders(names))
    for name in names:
        if any(match(pattern, name) for pattern in _OPTIONAL):
            stem = name.rpartition(".")[0]
            expected |= {f"{stem}.{p}" for p in _PAIR}
    return expected


def count(pattern: str, field: str, names: Iterable[str]) -> int:
    """One more than the highest number that a field has among names of a pattern; else 0."""
    numbers = [int(found[field]) for name in names if (found := match(pattern, name))]
    return max(numbers, default=-1) + 1


def _pairs(stems: Iterable[str]) -> set[str]:
    return {f"{stem}.{p}" for stem, p in product(stems, _PAIR)}


def _blocks(stem: str, names: Set[str]) -> set[str]:
    """Complete blocks ``stem.N``; an extra that one of them has all need."""
    depth = count(f"{stem}.{{i}}.*", "i", names)
    return _pairs(f"{stem}.{i}.{part}" for i in range(depth) for part in BLOCK)


def _extras(stems: list[str], names: Set[str]) -> set[str]:
    present = [e for e in _BLOCK_EXTRAS if any(f"{stem}.{e}" in names for stem in stems)]
    return {f"{stem}.{extra}" for stem, extra in product(stems, present)}


def _vit(names: Set[str]) -> set[str]:
    depth = max(1, count("blocks.{i}.*", "i", names))
    stems = [f"blocks.{i}" for i in range(depth)]
    blocks = _pairs(f"{stem}.{part}" for stem in stems for part in BLOCK)
    return {"cls_token"} | _pairs(["patch_embed"]) | blocks | _extras(stems, names)


def _swin(names: Set[str]) -> set[str]:
    stages = max(2, count("stages.{s}.*", "s", names))
    expected = _pairs(["patch_embed", "patch_norm"])
    for s in range(stages):
        depth = max(1, count(f"stages.{s}.blocks.{{i}}.*", "i", names))
        for i in range(depth):
            expected |= _pairs(f"stages.{s}.blocks.{i}.{part}" for part in BLOCK)
            expected.add(f"stages.{s}.blocks.{i}.attn.rel_table")
        if s < stages - 1:
            expected |= _pairs([f"stages.{s}.merge.norm"])
            expected.add(f"stages.{s}.merge.reduction.weight")
    return expected


def _resnet(names: Set[str]) -> set[str]:
    convs = max(2, count("layer{s}.{i}.conv{n}.weight", "n", names) - 1)
    expected = {"conv1.weight"} | {f"bn1.{b}" for b in _BATCH_NORM}
    for s in range(1, 5):
        for i in range(max(1, count(f"layer{s}.{{i}}.*", "i", names))):
            stem = f"layer{s}.{i}"
            expected |= {f"{stem}.conv{n}.weight" for n in range(1, convs + 1)}
            expected |= {f"{stem}.bn{n}.{b}" for n in range(1, convs + 1) for b in _BATCH_NORM}
            if i == 0 and (s > 1 or convs == 3):
                expected.add(f"{stem}.downsample.0.weight")
                expected |= {f"{stem}.downsample.1.{b}" for b in _BATCH_NORM}
    return expected


def _convnext(names: Set[str]) -> set[str]:
    stages = range(max(4, count("stages.{s}.*", "s", names)))
    stems = [
        f"stages.{s}.blocks.{i}"
        for s in stages
        for i in range(max(1, count(f"stages.{s}.blocks.{{i}}.*", "i", names)))
    ]
    layers = ["stem.0", "stem.1"]
    layers += [f"stages.{s}.downsample.{n}" for s, n in product(stages[1:], range(2))]
    layers += [f"{stem}.{part}" for stem, part in product(stems, _CONVNEXT_BLOCK)]
    return _pairs(layers) | _extras(stems, names)


def _decoders(names: Set[str]) -> set[str]:
    expected: set[str] = set()
    for t in range(count("decoders.{t}.*", "t", names)):
        stem = f"decoders.{t}"
        expected |= {f"{stem}.mask_token"} | _blocks(f"{stem}.blocks", names)
        expected |= _pairs(f"{stem}.{part}" for part in ("embed", "norm", "pred"))
    return expected


_FAMILIES = {"vit": _vit, "swin": _swin, "resnet": _resnet, "convnext": _convnext}
