"""A converted model computes what its source does, between the models of real libraries."""

from functools import lru_cache
from itertools import permutations

import pytest
import torch
from library_models import (
    BEITS,
    BEITS_WITHOUT_POSITIONS,
    CONVNEXTS,
    CONVNEXTS_OF_CONVS,
    CONVNEXTS_V2,
    FULL_SIZE,
    RESNETS,
    SIZES,
    SWINS,
    VITS,
    blank,
    build,
    features,
)
from memory import give_memory_back

from localmim.checkpoints import convert

pytestmark = pytest.mark.usefixtures("freed")

FAMILIES = {
    "vit": VITS,
    "beit": BEITS,
    "beit without positions": BEITS_WITHOUT_POSITIONS,
    "swin": SWINS,
    "resnet": RESNETS,
    "convnext": CONVNEXTS,
    "convnext v2": CONVNEXTS_V2,
    "convnext of convolutions": CONVNEXTS_OF_CONVS,
}
PAIRS = [
    (family, source, target)
    for family, models in FAMILIES.items()
    for source, target in permutations(models, 2)
]


def images(family: str) -> torch.Tensor:
    size = SIZES["vit" if "beit" in family else family.split()[0]]
    return torch.randn(2, 3, *size, dtype=torch.float64)


def file_form(dialect: str, state_dict: dict) -> dict:
    """The names that a model's tensors have in a file of its kind."""
    whole = {"mmpretrain", "mmdet", "localmim", "a2mim"}
    return {f"backbone.{n}" if dialect in whole else n: x for n, x in state_dict.items()}


def is_computed(model):
    """Which tensors of a model its file does not have: mmseg and mmdet compute them."""
    leaves_out = model[0].startswith(("mmseg", "mmdet"))
    return lambda name: leaves_out and name.endswith("relative_position_index")


@lru_cache(1)  # pairs come by their source
def given(family: str, source: tuple[str, str]) -> tuple[dict, torch.Tensor, torch.Tensor]:
    """Tensors of a model as its file has them, images, and the model's features of these."""
    giver, x = build(FAMILIES[family][source], seed=1), images(family)
    return file_form(source[0], giver.state_dict()), x, features(giver, x)


@pytest.mark.parametrize("family, source, target", PAIRS, ids=str)
def test_features_of_every_pair_are_equal(family, source, target):
    taker = blank(FAMILIES[family][target])
    state, x, expected = given(family, source)
    hints = {"image_size": x.shape[2:]}
    conversion = convert(state, target[0], source[0], hints=hints)
    left_to_model = set(conversion.report.missing.values())
    assert left_to_model <= {"norms of the other outputs start anew"}
    prefix = "" if conversion.table.bare or not conversion.table.prefix else "backbone."
    converted = {n.removeprefix(prefix): t for n, t in conversion.state_dict.items()}
    result = taker.load_state_dict(converted, strict=False)
    assert not result.unexpected_keys and all(map(is_computed(target), result.missing_keys))
    torch.testing.assert_close(features(taker, x), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("family, source, target", PAIRS, ids=str)
def test_round_trips_are_exact(family, source, target):
    state, x, _ = given(family, source)
    hints = {"image_size": x.shape[2:]}
    there = convert(state, target[0], source[0], hints=hints).state_dict
    back = convert(there, source[0], target[0], hints=hints).state_dict
    state = {n: x for n, x in state.items() if not is_computed(source)(n)}
    assert back.keys() == state.keys()
    for name, tensor in state.items():
        if name.endswith("qkv.bias") and any(d in target for d in ("BEiTViT", "BEiT")):
            query, _, value = tensor.chunk(3)  # keys have no bias there, see the table
            tensor = torch.cat([query, torch.zeros_like(query), value])
        assert torch.equal(back[name], tensor), name


@pytest.mark.parametrize("family", ["vit", "swin"])
def test_models_of_full_size(family):
    """A ViT-B and a Swin-B of this project in timm and transformers, in float64."""
    giver = build(FULL_SIZE[family]["localmim"])
    state = file_form("localmim", giver.state_dict())
    x = torch.randn(1, 3, 224, 224, dtype=torch.float64)
    expected = features(giver, x)
    del giver
    for dialect in ("timm", "transformers"):
        taker = blank(FULL_SIZE[family][dialect])
        taker.load_state_dict(convert(state, dialect, "localmim").state_dict)
        torch.testing.assert_close(features(taker, x), expected, rtol=1e-6, atol=1e-6)
        del taker
        give_memory_back()
