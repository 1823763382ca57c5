"""What a training says on the screen; its log file has everything."""

import logging

from torch import nn
from torch.utils.data import DataLoader

from localmim.data.wrapping import innermost_datasets

# Of mmengine: a line for each parameter, what goes without saying, what its own code still uses,
# and a name that the folder has, too.
_IN_THE_FILE_ONLY = (
    "paramwise_options --",
    "Hooks will be executed",
    "Distributed training is not used, all SyncBatchNorm",
    "is skipped since its requires_grad=False",
    "Exp name:",
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
)
_HEADINGS = ("System environment:", "Config:")


class _Brief(logging.Filter):
    """Keeps what is of no use while one watches."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage().lstrip("\n-")
        if message.startswith(_HEADINGS):
            return False
        return not any(words in message[:200] for words in _IN_THE_FILE_ONLY)


def be_brief(logger: logging.Logger) -> None:
    """Leave what only the file needs out of the screen."""
    for handler in logger.handlers:
        is_file = isinstance(handler, logging.FileHandler)
        if not is_file and not any(isinstance(x, _Brief) for x in handler.filters):
            handler.addFilter(_Brief())


def describe_data(loader: DataLoader) -> str:
    """How many images a training has, where they are, and in which batches they come."""
    roots = (getattr(x, "data_root", None) for x in innermost_datasets(loader.dataset))
    places = ", ".join(dict.fromkeys(str(root) for root in roots if root))
    where = f" in {places}" if places else ""
    return f"Data: {len(loader.dataset)} images{where}, in batches of {loader.batch_size}"


def describe_model(model: nn.Module) -> str:
    """What is trained, and how large it is."""
    count = sum(parameter.numel() for parameter in model.parameters())
    backbone = getattr(model, "backbone", None)
    encoder = "" if backbone is None else f" with {type(backbone).__name__}"
    return f"Model: {type(model).__name__}{encoder}, {count / 1e6:.1f} million parameters"
