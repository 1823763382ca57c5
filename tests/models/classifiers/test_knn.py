import math
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from mmengine.dataset import DefaultSampler, pseudo_collate
from mmengine.registry import init_default_scope
from mmpretrain.evaluation import Accuracy
from mmpretrain.structures import DataSample
from torch import nn
from torch.utils.data import DataLoader, Dataset

from localmim.models import KNNClassifier

CLASSES = 5


class Images(Dataset):
    """Random images with labels, as mmpretrain's data sets give them."""

    def __init__(self, size, seed=0):
        generator = torch.Generator().manual_seed(seed)
        self.images = torch.randint(0, 256, (size, 3, 2, 2), generator=generator).byte()
        self.labels = torch.randint(0, CLASSES, (size,), generator=generator)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, place):
        sample = DataSample(metainfo=dict(sample_idx=place, img_path=f"{place}.png"))
        sample.set_gt_label(int(self.labels[place]))
        return dict(inputs=self.images[place], data_samples=sample)


class Features(nn.Module):
    """Images to vectors by a random matrix."""

    def __init__(self):
        super().__init__()
        self.project = nn.Linear(12, 8)

    def forward(self, images):
        return (self.project(images.flatten(1)),)


def loader_of(dataset, drop_last=False):
    return DataLoader(
        dataset,
        batch_size=4,
        sampler=DefaultSampler(dataset, shuffle=True, seed=0),
        collate_fn=pseudo_collate,
        drop_last=drop_last,
    )


def classifier(bank=None, **settings):
    settings = dict(backbone=Features(), num_classes=CLASSES, k=7) | settings
    data_preprocessor = dict(mean=[127.0] * 3, std=[60.0] * 3)
    bank = loader_of(Images(23) if bank is None else bank)
    return KNNClassifier(
        bank_dataloader=bank, data_preprocessor=data_preprocessor, **settings
    ).eval()


def slow_scores(model, bank, queries, k, temperature):
    """Wu et al. 2018, section 3.4, word by word, in float64."""

    def vector(image):
        with torch.no_grad():
            return model.backbone((image[None].float() - 127) / 60)[0][0].double().tolist()

    def cosine(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)

    known = [
        (vector(image), int(label)) for image, label in zip(bank.images, bank.labels, strict=True)
    ]
    rows = []
    for image in queries.images:
        query = vector(image)
        near = sorted(((cosine(query, v), label) for v, label in known), reverse=True)[:k]
        votes = [0.0] * CLASSES
        for similarity, label in near:
            votes[label] += math.exp(similarity / temperature)
        rows.append([vote / sum(votes) for vote in votes])
    return torch.tensor(rows, dtype=torch.float64)


def predict(model, dataset):
    return [sample for batch in loader_of(dataset) for sample in model.val_step(batch)]


def predicted_scores(model, dataset):
    found = {sample.sample_idx: sample.pred_score for sample in predict(model, dataset)}
    return torch.stack([found[place] for place in range(len(dataset))]).double()


@pytest.mark.parametrize("chunk_size", [3, 10, 65536])
@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (7, 0.07), (23, 0.5), (7, 0.005)])
def test_scores_are_those_of_the_slow_formula(monkeypatch, chunk_size, k, temperature):
    monkeypatch.setattr(KNNClassifier, "chunk_size", chunk_size)
    model = classifier(k=k, temperature=temperature)
    bank, queries = Images(23), Images(6, seed=1)
    expected = slow_scores(model, bank, queries, k, temperature)
    torch.testing.assert_close(predicted_scores(model, queries), expected, atol=2e-5, rtol=1e-4)


def test_an_image_of_the_bank_is_its_own_nearest_and_accuracy_counts_it():
    model = classifier(k=1)
    samples = predict(model, Images(23))
    assert all(sample.pred_label.equal(sample.gt_label) for sample in samples)
    accuracy = Accuracy(topk=(1, 5))
    accuracy.process(None, [sample.to_dict() for sample in samples])
    assert accuracy.evaluate(len(samples)) == {"accuracy/top1": 100, "accuracy/top5": 100}


def test_features_in_half_precision_are_compared_in_full():
    model, queries = classifier(), Images(6, seed=1)
    with torch.autocast("cpu", torch.bfloat16):
        scores = predicted_scores(model, queries)
        compared = model.score(model.bank_features)
    assert model.bank_features.dtype == torch.float32
    torch.testing.assert_close(compared, model.score(model.bank_features), rtol=0, atol=0)
    torch.testing.assert_close(scores.sum(dim=1), torch.ones(6).double())


def test_every_evaluation_has_its_own_bank_and_no_checkpoint_has_one():
    model, queries = classifier(), Images(6, seed=1)
    predict(model, queries)
    first = model.bank_features
    predict(model, queries)
    assert model.bank_features is first
    assert not any("bank" in name for name in model.state_dict())

    nn.init.normal_(model.backbone.project.weight)
    model.eval()  # what a runner's loops begin with
    expected = slow_scores(model, Images(23), queries, 7, 0.07)
    torch.testing.assert_close(predicted_scores(model, queries), expected, atol=2e-5, rtol=1e-4)
    model.train()
    assert model.bank_features is None


class Outputs(nn.Module):
    """The images as what a backbone gives, rearranged."""

    def __init__(self, arrange):
        super().__init__()
        self.arrange = arrange

    def forward(self, images):
        return (self.arrange(images),)


def test_maps_are_averaged_and_tokens_refused():
    queries = Images(6, seed=1)
    pooled = classifier(backbone=Outputs(lambda images: images.flatten(2).mean(dim=2)))
    as_map = classifier(backbone=Outputs(lambda images: images))
    torch.testing.assert_close(predicted_scores(as_map, queries), predicted_scores(pooled, queries))
    tokens = classifier(backbone=Outputs(lambda images: images.flatten(2)))
    with pytest.raises(ValueError, match="gives .4, 3, 4.: set its out_type to cls_token"):
        predict(tokens, queries)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(k=0), "k must be at least 1, got 0"),
        (dict(num_classes=0), "num_classes must be at least 1, got 0"),
        (dict(temperature=0.0), "temperature must be above 0, got 0.0"),
        (dict(temperature=float("nan")), "temperature must be above 0, got nan"),
    ],
)
def test_arguments_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        classifier(**settings)


class Unlabelled(Images):
    def __getitem__(self, place):
        item = super().__getitem__(place)
        del item["data_samples"].gt_label
        return item


def test_banks_that_cannot_be():
    for bank, settings, message in (
        (Images(3), dict(k=4), "k is 4, but the bank has 3 images only"),
        (Unlabelled(9), dict(), r"[0-9]\.png has no label .*with_label=True"),
        (Images(30), dict(num_classes=2), r"has the label [234], num_classes is 2"),
    ):
        with pytest.raises(ValueError, match=message):
            classifier(bank, **settings).build_bank()
    for size, message in ((7, "leaves out 3 of 7 images"), (3, "gives no batch")):
        model = classifier(k=1)
        model.bank_dataloader = loader_of(Images(size), drop_last=True)
        with pytest.raises(ValueError, match=message):
            model.build_bank()


def build_in_one_of_three(rank, folder):
    """23 images for three processes: the sampler gives one of them twice."""
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=3)
    init_default_scope("mmpretrain")
    model = classifier()
    model.load_state_dict(torch.load(folder / "model.pth"))
    model.build_bank()
    torch.save((model.bank_features, model.bank_labels), folder / f"{rank}.pth")
    torch.distributed.destroy_process_group()


def test_three_processes_have_the_bank_of_one(tmp_path: Path):
    model = classifier()
    torch.save(model.state_dict(), tmp_path / "model.pth")
    mp.start_processes(build_in_one_of_three, (tmp_path,), nprocs=3, start_method="fork")
    model.build_bank()
    for rank in range(3):
        features, labels = torch.load(tmp_path / f"{rank}.pth")
        torch.testing.assert_close(features, model.bank_features)
        assert labels.equal(model.bank_labels) and labels.equal(Images(23).labels)
