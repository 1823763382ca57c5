"""Classification by the nearest images, without training."""

import torch
import torch.nn.functional as F
from mmengine import dist
from mmengine.runner import Runner
from mmpretrain.models import ImageClassifier
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from mmpretrain.utils import track_on_main_process
from torch import Tensor, nn
from torch.utils.data import DataLoader


def nearest_votes(
    queries: Tensor,
    bank: Tensor,
    labels: Tensor,
    num_classes: int,
    k: int = 20,
    temperature: float = 0.07,
    chunk_size: int = 65536,
) -> Tensor:
    """Let the k nearest images of a bank vote, each with the weight exp(cosine / temperature).

    Args:
        queries: (B, C), normalised.
        bank: (N, C), normalised.
        labels: (N,) long, the classes of the bank.
        num_classes: above every label.
        k: neighbours; where the bank has fewer, all of it.
        temperature: above 0.
        chunk_size: images of the bank that are compared at a time.

    Returns:
        (B, num_classes), the parts of the classes, which sum to 1.
    """
    cosines, classes = [], []
    # Half precision would lose the small differences between near neighbours.
    with torch.autocast(queries.device.type, enabled=False):
        for part, of_part in zip(bank.split(chunk_size), labels.split(chunk_size), strict=True):
            nearest = (queries @ part.T).topk(min(k, len(part)))
            cosines.append(nearest.values)
            classes.append(of_part[nearest.indices])
    found = torch.cat(cosines, dim=1)
    nearest = found.topk(min(k, found.shape[1]))
    voting = torch.cat(classes, dim=1).gather(1, nearest.indices)
    weights = (nearest.values / temperature).softmax(dim=1)
    return weights.new_zeros(len(weights), num_classes).scatter_add_(1, voting, weights)


@MODELS.register_module()
class KNNClassifier(ImageClassifier):
    """Weighted k nearest neighbours among labelled images, by the cosine of their features.

    Each of the k nearest images of the bank votes for its class with the weight
    exp(cosine / temperature) (Wu et al., "Unsupervised Feature Learning via Non-Parametric Instance
    Discrimination", 2018; Caron et al., "Emerging Properties in Self-Supervised Vision
    Transformers", 2021).

    The bank, the normalised features and labels of all images of ``bank_dataloader``, is made at
    the first prediction after :meth:`train` or :meth:`eval` was called, so once in every
    evaluation and from the weights of that time. Several processes share the work; each then has
    the whole bank on its device (4 bytes x images x channels) and compares with
    ``chunk_size`` of its images at a time. The bank is no part of the state dict.

    Args:
        backbone: any of mmpretrain's backbones, a config or a module, whose last output is (B, C),
            or a map, (B, C, H, W), of which the mean is taken.
        bank_dataloader: config of a data loader as that of a runner, or a data loader. Its samples
            need ``gt_label`` and ``sample_idx``, which mmpretrain's data sets and ``PackInputs``
            give. Its pipeline should be that of the test images.
        num_classes: number of classes; labels are from 0 to ``num_classes - 1``.
        k: neighbours that vote, at least 1 and at most as many as the bank has images.
        temperature: of the weights, above 0.
        data_preprocessor: as in the parent.
        init_cfg: as in the parent.

    Raises:
        ValueError: ``num_classes``, ``k`` or ``temperature`` is out of range.
    """

    chunk_size = 65536  # images of the bank

    def __init__(
        self,
        backbone: dict | nn.Module,
        bank_dataloader: dict | DataLoader,
        num_classes: int,
        k: int = 20,
        temperature: float = 0.07,
        data_preprocessor: dict | nn.Module | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        for name, value in (("num_classes", num_classes), ("k", k)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        super().__init__(backbone, data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.bank_dataloader = bank_dataloader
        self.num_classes, self.k, self.temperature = num_classes, k, temperature
        self.register_buffer("bank_features", None, persistent=False)
        self.register_buffer("bank_labels", None, persistent=False)

    def train(self, mode: bool = True) -> "KNNClassifier":
        """Set the mode and drop the bank, since weights may change or have changed."""
        self.bank_features = self.bank_labels = None
        return super().train(mode)

    @torch.no_grad()
    def predict(
        self, inputs: Tensor, data_samples: list[DataSample] | None = None
    ) -> list[DataSample]:
        """Classify images.

        Args:
            inputs: (B, C, H, W), preprocessed.
            data_samples: B samples that receive the predictions, or None for new ones.

        Returns:
            B samples with ``pred_score``, (num_classes,), each class's part of the weights, and
            ``pred_label``.

        Raises:
            ValueError: the bank cannot be made (see :meth:`build_bank`).
        """
        if self.bank_features is None:
            self.build_bank()
        scores = self.score(self._vectors(inputs))
        samples = data_samples or [DataSample() for _ in scores]
        for sample, score in zip(samples, scores, strict=True):
            sample.set_pred_score(score).set_pred_label(score.argmax())
        return samples

    def score(self, queries: Tensor) -> Tensor:
        """Let the k nearest images of the bank vote.

        Args:
            queries: (B, C) normalised features.

        Returns:
            (B, num_classes), the parts of the classes, which sum to 1.
        """
        return nearest_votes(
            queries,
            self.bank_features,
            self.bank_labels,
            self.num_classes,
            self.k,
            self.temperature,
            self.chunk_size,
        )

    @torch.no_grad()
    def build_bank(self) -> None:
        """Compute the bank's features with the present weights.

        Raises:
            ValueError: the bank has fewer than k images, images without labels, labels out of
                range, or the data loader leaves images out.
        """
        loader = Runner.build_dataloader(self.bank_dataloader, seed=0)
        size, features = len(loader.dataset), None
        if size < self.k:
            raise ValueError(f"k is {self.k}, but the bank has {size} images only")
        for batch in track_on_main_process(loader, "Features of the bank"):
            data = self.data_preprocessor(batch, training=False)
            vectors = self._vectors(data["inputs"])
            if features is None:
                features = vectors.new_zeros(size, vectors.shape[1])
                labels, times = torch.zeros(2, size, dtype=torch.long, device=vectors.device)
            samples = batch["data_samples"]
            places = torch.tensor([sample.sample_idx for sample in samples]).to(vectors.device)
            features[places], times[places] = vectors, 1
            labels[places] = self._labels(samples).to(vectors.device)
        if features is None:
            raise ValueError("bank_dataloader gives no batch; drop_last must be False")
        self._gather(features, labels, times)

    def _gather(self, features: Tensor, labels: Tensor, times: Tensor) -> None:
        """Put the bank together from what each process has; the sampler may have given an image
        to several. Shapes: (N, C), (N,) and (N,), zero where the process had not the image."""
        for part in (features, labels, times):
            dist.all_reduce(part)
        if left_out := int((times == 0).sum()):
            raise ValueError(
                f"bank_dataloader leaves out {left_out} of {len(times)} images; it must give each "
                "one (drop_last=False), with its own sample_idx"
            )
        self.bank_features = features.div_(times[:, None])
        self.bank_labels = labels.div_(times, rounding_mode="floor")

    def _vectors(self, inputs: Tensor) -> Tensor:
        """Normalised features of images in float32: (B, C, H, W) to (B, channels)."""
        feats = self.extract_feat(inputs)[-1]
        if feats.dim() == 4:
            feats = feats.mean(dim=(2, 3))
        if feats.dim() != 2:
            raise ValueError(
                "k nearest neighbours need a vector or a map of each image, the backbone gives "
                f"{tuple(feats.shape)}: set its out_type to cls_token, avg_featmap or featmap"
            )
        return F.normalize(feats.float(), dim=1)

    def _labels(self, samples: list[DataSample]) -> Tensor:
        """The label of each sample, (B,)."""
        for sample in samples:
            if "gt_label" not in sample:
                raise ValueError(
                    f"bank_dataloader: {sample.get('img_path')} has no label (gt_label); the "
                    "data set needs with_label=True"
                )
        labels = torch.cat([sample.gt_label for sample in samples])
        for label in (int(labels.min()), int(labels.max())):
            if not 0 <= label < self.num_classes:
                raise ValueError(
                    f"bank_dataloader has the label {label}, num_classes is {self.num_classes}"
                )
        return labels
