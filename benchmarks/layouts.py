"""Milliseconds a training step in both layouts, and which one the rule takes."""

import torch
import torchvision
from common import in_turns, options, show

import tradeoffs
from tradeoffs.probes.timing import seconds_of
from tradeoffs.training.layouts import channels_last_pays

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
OURS = {
    "small_net": {},
    "small_net, pool 4": {"pool": 4},
    "small_net, no norm": {"batch_norm": False},
    "gap_cnn": {},
    "pytorch_cnn": {},
    "keras_cnn": {},
}
THEIRS = ("squeezenet1_1", "resnet18", "mobilenet_v2", "mnasnet0_5", "densenet121")


def network(name):
    if name in OURS:
        return tradeoffs.build(name.split(",")[0], "pytorch", **OURS[name])
    return torchvision.models.get_model(name, num_classes=10)


def train(model, images, labels, optimizer, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()


def step_ms(steps, *trained):
    train(*trained, 2)
    return seconds_of(train, *trained, steps) / steps * 1e3


chosen = options(__doc__, threads=1, turns=5, steps=20)
torch.set_num_threads(chosen.threads)
rows = []
for name in (*OURS, *THEIRS):
    images = torch.rand(16, 1, 28, 28) if name in OURS else torch.rand(8, 3, 64, 64)
    labels = torch.randint(0, 10, (len(images),))
    ways = {}
    for layout, memory_format in LAYOUTS.items():
        model = network(name).to(memory_format=memory_format)
        optimizer = torch.optim.SGD(model.parameters(), 5e-3, 0.9, fused=True)
        ways[layout] = chosen.steps, model, images, labels, optimizer
    times = in_turns(chosen.turns, step_ms, ways).median().round(2)
    rule = list(LAYOUTS)[channels_last_pays(network(name))]
    rows.append({"network": name, **times, "the rule takes": rule})
show(f"ms a step, {chosen.threads} threads", rows)
