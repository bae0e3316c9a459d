"""An average of weights over the steps of a training, to evaluate and to keep."""

import torch


class Average:
    """An exponential moving average of tensors over steps.

    Its first steps count more, as in TensorFlow's `ExponentialMovingAverage`, so that
    it soon forgets the weights of the start: step n decays by at most n / (9 + n).

    Args:
        tensors: to average, those of floating-point numbers: weights, and the running
            statistics of batch norms.
        decay: of `Schedule.averaging`.
    """

    def __init__(self, tensors, decay: float):
        self.tensors = [t for t in tensors if t.is_floating_point()]
        self.others = [t.detach().clone() for t in self.tensors]
        self.decay, self.steps, self.in_place = decay, 0, False

    @torch.no_grad()
    def update(self) -> None:
        """Take in the tensors as they are after a step."""
        self.steps += 1
        share = 1 - min(self.decay, self.steps / (9 + self.steps))
        for mean, tensor in zip(self.others, self.tensors, strict=True):
            mean.lerp_(tensor, share)

    @torch.no_grad()
    def put_in_place(self, averaged: bool) -> None:
        """Let the tensors hold their averages, or again what is trained."""
        if averaged == self.in_place:
            return
        self.in_place = averaged
        for other, tensor in zip(self.others, self.tensors, strict=True):
            kept = tensor.clone()
            tensor.copy_(other)
            other.copy_(kept)
