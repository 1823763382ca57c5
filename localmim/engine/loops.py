"""mmengine's training loops, started at any iteration as if they had never stopped."""

from mmengine.dist import get_rank
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch import nn
from torch.utils.data import DataLoader

from .sampling import ResumableLoader, check_enough, seed_step


class _Resumable:
    """What both loops share.

    Attributes:
        position: pass through the data and batches of it that are done. It is part of a
            checkpoint's meta.
    """

    def __init__(self, runner, dataloader: DataLoader | dict, **kwargs) -> None:
        if isinstance(dataloader, dict):
            apart = runner._randomness_cfg.get("diff_rank_seed", False)
            dataloader = runner.build_dataloader(dataloader, seed=runner.seed, diff_rank_seed=apart)
        loader = ResumableLoader(dataloader)
        check_enough(loader)
        super().__init__(runner, loader, **kwargs)
        self.position = (0, 0)

    @property
    def seed(self) -> int:
        """Of the run, the same on all processes; a resumed run has its checkpoint's."""
        apart = self.runner._randomness_cfg.get("diff_rank_seed", False)
        return self.runner.seed - get_rank() if apart else self.runner.seed

    def _run_pass(self) -> None:
        """Train on what is left of a pass through the data."""
        epoch, done = self.position
        batches = self.dataloader.start_at(self.seed, epoch, done)
        with self.dataloader.explained():
            for number, batch in enumerate(batches, done):
                self.position = (epoch, number + 1)
                seed_step(self.seed, self._iter)
                self._step(number, batch)
                if self._ends_here():
                    return
        self.position = (epoch + 1, 0)


class ResumableEpochLoop(_Resumable, EpochBasedTrainLoop):
    """Training that counts epochs."""

    def run_epoch(self) -> None:
        """What is left of one epoch."""
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        self._run_pass()
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1

    def _step(self, number: int, batch) -> None:
        self.run_iter(number, batch)

    def _ends_here(self) -> bool:
        return False


class ResumableIterLoop(_Resumable, IterBasedTrainLoop):
    """Training that counts iterations."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        del self.dataloader_iterator  # mmengine's; it may have started workers

    def run(self) -> nn.Module:
        """All iterations that are left, as one epoch to hooks."""
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        while not self._ends_here():
            self._run_pass()
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        return self.runner.model

    def _step(self, number: int, batch) -> None:
        self.runner.model.train()
        self.run_iter(batch)
        self._decide_current_val_interval()
        if self.runner.val_loop is not None and self._validates_now():
            self.runner.val_loop.run()

    def _ends_here(self) -> bool:
        return self._iter >= self._max_iters or self.stop_training

    def _validates_now(self) -> bool:
        due = self._iter % self.val_interval == 0 or self._iter == self._max_iters
        return self._iter >= self.val_begin and due
