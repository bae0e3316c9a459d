"""What measuring costs and whether it is fair: time, memory, and a busy machine.

Three tables; docs/benchmarks.md says what is in each, and what it should be.
"""

import contextlib
import functools
import json
import operator
import subprocess
import sys
import time
from unittest import mock

import pandas as pd
from common import in_turns, options, show, spread

import tradeoffs
from tradeoffs.probes import asking, tasks
from tradeoffs.probes.inputs import page_of
from tradeoffs.processes import in_fresh_process

# The first of a program and further ones, and at most how many seconds each.
PROGRAMS = {
    ("pytorch", 3): ("pytorch_cnn", "gap_cnn", "small_net"),
    ("keras", 6): ("keras_mlp", "keras_cnn", "keras_mlp"),
}
FURTHER_SECONDS = 1
MODELS = (
    ("pytorch_cnn", "pytorch"),
    ("keras_cnn", "pytorch"),
    ("keras_mlp", "keras"),
    ("keras_cnn", "keras"),
)
WATCHED = {
    "timed": ("seconds_of", "steady_seconds", "latencies_ms"),
    "layouts": ("take_faster_layout",),
    "waiting": ("wait_for_quiet",),
}


def timed(function, spent, kind):
    """The function; the seconds of its calls are added to those spent."""

    def call(*arguments):
        start = time.perf_counter()
        found = function(*arguments)
        spent[kind] += time.perf_counter() - start
        return found

    return call


def watched(source, *others):
    """`tasks.measured` in the process that measures, with a note of what it spent."""
    spent, probe = dict.fromkeys(WATCHED, 0.0), page_of(source.framework).Probe
    for kind, names in WATCHED.items():
        for name in names:
            owner = probe if hasattr(probe, name) else tasks
            setattr(owner, name, timed(getattr(owner, name), spent, kind))
    found = tasks.measured(source, *others)
    found["notes"].append(json.dumps(spent))
    return found


def measure_each(framework, max_seconds, *models):
    """Seconds of each in turn, by kind; to be called in a fresh program."""
    rows = []
    chosen = {"max_seconds": float(max_seconds), "progress": False}
    with mock.patch.object(tasks, "measured", watched):
        for name in models:
            start = time.perf_counter()
            profile = tradeoffs.measure(name, framework=framework, **chosen)
            row = {"in all": time.perf_counter() - start}
            spent = [json.loads(note) for note in profile.notes if note[0] == "{"]
            rows.append(row | pd.DataFrame(spent).sum().to_dict())
    print(json.dumps(rows))


def times_of_programs(turns, max_seconds):
    """A row a model: what a program took that measures some of a framework."""
    for (framework, most), models in PROGRAMS.items():
        asked = [sys.executable, __file__, "--program", framework, str(max_seconds)]
        found = [
            json.loads(subprocess.check_output([*asked, *models]).splitlines()[-1])
            for _ in range(turns)
        ]
        for index, name in enumerate(models):
            times = pd.DataFrame([rows[index] for rows in found])
            outside = times["in all"] - times.timed
            target = FURTHER_SECONDS if index else most
            yield {
                "model": f"{name}, {framework}, {'further' if index else 'first'}",
                **{f"{kind} (s)": spread(times[kind]) for kind in times},
                "outside timed (s)": spread(outside),
                "target (s)": target,
                "met": "yes" if outside.median() <= target else "no",
            }


def without_fork(*arguments, framework, **keywords):
    return in_fresh_process(*arguments, **keywords)


@contextlib.contextmanager
def one_busy_core():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as worker:
        try:
            yield
        finally:
            worker.kill()


def measured_within(around, name, framework, asked):
    """A profile that is measured within a context."""
    with around():
        return tradeoffs.measure(name, framework=framework, progress=False, **asked)


def compared(turns, ways, fields, limit, asked):
    """A row a model and field: the second way, and its ratio to the first."""
    for model in MODELS:
        given = {way: (around, *model, asked) for way, around in ways.items()}
        found = in_turns(turns, measured_within, given)
        for field in fields:
            values = found.map(operator.attrgetter(field))
            first, second = (values[way] for way in ways)
            ratio = second.median() / first.median()
            yield {
                "model": ", ".join(model),
                "field": field,
                **values.apply(spread),
                "ratio": round(ratio, 3),
                f"within {limit} x": "yes" if abs(ratio - 1) <= limit - 1 else "no",
            }


def main():
    chosen = options(__doc__, turns=5, seconds=1)
    turns, seconds = chosen.turns, chosen.seconds
    show(f"measure(max_seconds={seconds})", times_of_programs(turns, seconds))
    patch = mock.patch.object
    anew = functools.partial(patch, asking, "in_fresh_process", without_fork)
    ways = {"anew": anew, "forked": contextlib.nullcontext}
    asked = {"parts": ("training_memory", "inference_memory"), "max_seconds": 0}
    fields = "peak_train_memory_mib", "peak_inference_memory_mib"
    show("peaks of memory", compared(turns, ways, fields, 1.03, asked))
    ways = {"quiet": contextlib.nullcontext, "one busy core": one_busy_core}
    asked = {"parts": "inference_time", "max_seconds": seconds}
    fields = "latency_ms_p50", "latency_ms_p90", "latency_ms_p99"
    show("latencies, default threads", compared(turns, ways, fields, 3, asked))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--program"]:
        measure_each(*sys.argv[2:])
    else:
        main()
