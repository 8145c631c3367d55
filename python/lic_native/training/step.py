"""A training step as a fixed sequence of kernels: run as it is, or captured as a CUDA graph for each kind of batch.

Nothing in it reads a value back from the device or sends one to it: random numbers and learning rates are written to
fixed places before, and sums are read now and then.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from .task import Task, say

__all__ = ["Guard", "Step", "tf32"]

#: Largest norm of all gradients together.
CLIP = 1.0
#: Steps of a kind before its capture: libraries choose and load their kernels in them.
PLAIN_STEPS = 3


@contextmanager
def tf32() -> Iterator[None]:
    """Let CUDA round factors of float32 products to 10 bits; sums stay in float32. Nothing changes on a CPU."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    settings: list[tuple[Any, str, Any]] = [(matmul, "allow_tf32", True), (cudnn, "allow_tf32", True)]
    if hasattr(matmul, "fp32_precision"):
        convolution: Any = cudnn.conv  # type: ignore[attr-defined]
        settings = [(matmul, "fp32_precision", "tf32"), (convolution, "fp32_precision", "tf32")]
    before = [getattr(owner, name) for owner, name, _ in settings]
    for owner, name, value in settings:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for (owner, name, _), value in zip(settings, before):
            setattr(owner, name, value)


class Step:
    """Makes a model better, and lets its average follow.

    A gradient that is not finite changes nothing.

    optimizer: fused AdamW; its learning rates are on the device where that is CUDA.
    """

    def __init__(
        self, task: Task[Any], model: nn.Module, average: nn.Module, numbers: torch.Generator, rate: float
    ) -> None:
        self._task, self._model, self._numbers = task, model, numbers
        self._cuda = numbers.device.type == "cuda"
        self._values, self._means = list(model.parameters()), list(average.parameters())
        self._draws = task.draws(numbers.device)
        groups = task.groups(model)
        self._peaks = [rate * factor for _, factor in groups]
        rates = [torch.zeros((), device=numbers.device) if self._cuda else 0.0 for _ in groups]
        parameters = [{"params": group, "lr": rate} for (group, _), rate in zip(groups, rates)]
        self.optimizer: Any = torch.optim.AdamW(parameters, **task.ADAM, fused=True, capturable=self._cuda)
        self._sums = torch.zeros(3, device=numbers.device)
        self._shown = self._count = 0.0
        self.release()
        self._capture = self._cuda

    def release(self) -> None:
        """Forget the graphs: the model has changed its form."""
        self._graphs: dict[Any, Any] = {}
        self._plain: Counter[Any] = Counter()
        self._pool = torch.cuda.graph_pool_handle() if self._cuda else None

    def load(self, state: dict[str, Any]) -> None:
        """Go on with the moments of an optimizer's `state_dict`, wherever it was."""
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state["state"]})

    def __call__(self, kind: Any, share: float, decay: float) -> None:
        """Make one step of a batch of a kind (`Task.kind`), at a share of the peak rates; decay: of the average."""
        for group, peak in zip(self.optimizer.param_groups, self._peaks):
            if self._cuda:
                group["lr"].fill_(peak * share)
            else:
                group["lr"] = peak * share
        self._draws.refill(self._numbers)
        if self._capture and kind not in self._graphs and self._plain[kind] >= PLAIN_STEPS:
            self._try_capture(kind)
        if kind in self._graphs:
            self._graphs[kind].replay()
        else:
            self._work(kind)
            self._plain[kind] += 1
        with torch.no_grad():
            torch._foreach_lerp_(self._means, self._values, 1 - decay)

    def _work(self, kind: Any) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            batch = self._task.batch(kind, self._draws)
        with tf32():
            loss, shown = self._task.loss(self._model, kind, batch)
            loss.backward()
        norm = torch.stack(torch._foreach_norm([p.grad for p in self._values if p.grad is not None])).norm()
        finite = norm.isfinite()
        # As a gradient scaler has it: gradients are divided by the one, and the step is left out if the other is 1.
        self.optimizer.grad_scale, self.optimizer.found_inf = (norm / CLIP).clamp_min(1), (~finite).float()
        self.optimizer.step()
        values = torch.stack([loss.detach(), shown.detach(), torch.ones_like(norm)])
        self._sums += torch.where(finite, values, torch.zeros_like(values))

    def _try_capture(self, kind: Any) -> None:
        """Make a graph of a kind's step, which is not run by that; where it fails, all steps are plain from now on."""
        try:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool, stream=torch.cuda.current_stream()):
                self._work(kind)
            self._graphs[kind] = graph
            say(captured=str(kind))
        except Exception as error:  # whatever a driver raises, plain steps may work
            say(not_captured=str(kind), error=f"{type(error).__name__}: {error}"[:500])
            self._capture = False
            # A generator that does not wait for the end of the capture.
            fresh = torch.Generator(self._numbers.device)
            fresh.manual_seed(torch.initial_seed())
            torch.cuda.default_generators[torch.cuda.current_device()].graphsafe_set_state(fresh.graphsafe_get_state())
            torch.cuda.synchronize()

    def look(self) -> float:
        """Wait for the device, and return the mean loss of the steps since the last look; infinity if none counted."""
        loss, shown, count = self._sums.tolist()
        self._sums.zero_()
        self._shown, self._count = self._shown + shown, self._count + count
        return loss / count if count else math.inf

    def shown(self) -> float | None:
        """Return the mean of the number that the learning curve shows, over the looks since the last call, if any."""
        mean = round(self._shown / self._count, 4) if self._count else None
        self._shown = self._count = 0.0
        return mean

    @torch.no_grad()
    def back(self) -> None:
        """Return to the average, with moments of none."""
        torch._foreach_copy_(self._values, self._means)
        for state in self.optimizer.state.values():
            for value in state.values():
                value.zero_()


class Guard:
    """Halves the learning rate when the training loss has risen beyond its noise.

    The losses of `WINDOW` looks make a mean. It has risen if it is above `RISE` times the least one before, and four
    standard deviations more.

    factor: of the learning rate.
    """

    WINDOW, RISE, LEAST_FACTOR = 8, 1.08, 1 / 8

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor
        self.reset()

    def reset(self) -> None:
        """Forget the losses so far, of another loss."""
        self._losses: list[float] = []
        self._least, self._noise = math.inf, 0.0

    def risen(self, loss: float) -> bool:
        """Take a look's mean loss; return whether it is time to go back to the average, at the halved rate."""
        self._losses.append(loss)
        if len(self._losses) < self.WINDOW and math.isfinite(loss):
            return False
        mean, noise = math.inf, 0.0
        if math.isfinite(loss):
            mean = statistics.fmean(self._losses)
            noise = statistics.stdev(self._losses) / math.sqrt(self.WINDOW)
        self._losses.clear()
        if mean < self._least:
            self._least, self._noise = mean, noise
            return False
        risen = not math.isfinite(mean) or mean > self.RISE * self._least + 4 * math.hypot(noise, self._noise)
        if risen and self.factor > self.LEAST_FACTOR:
            self.factor /= 2
            return True
        return False
