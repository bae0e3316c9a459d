"""Milliseconds a step and network: the Small Net alone, and K of them stacked.

All ways take turns within one process; a ratio is of one turn's times, against the
network alone, on one thread or on all, whichever was faster.
"""

import loky
from common import BATCH, first_images, in_turns, options, show, spread

import tradeoffs


def step_ms(networks, steps, threads):
    """Of one network, in the second epoch; of none stacked: alone."""
    # Over the networks, so that all turns are about as long.
    steps = max(5, steps // (networks or 1))
    models = [tradeoffs.build("small_net") for _ in range(networks or 1)]
    wanted = first_images(steps * BATCH), tradeoffs.ARTICLE.first(2)
    chosen = {"threads": threads, "progress": False}
    if networks:
        run, *_ = tradeoffs.fit_stacked(models, *wanted, range(networks), **chosen)
    else:
        run = tradeoffs.fit(*models, *wanted, **chosen)
    return run.history.train_seconds.iloc[1] / steps * 1e3


networks = (1, 4, 8, 16, 32, 64)
threads = loky.cpu_count()
defaults = {"threads": threads, "turns": 7, "networks": networks, "steps": 300}
chosen = options(__doc__, **defaults)
ways = {"alone, one thread": (0, chosen.steps, 1)}
for count in (0, *chosen.networks):
    ways[count or "alone"] = count, chosen.steps, chosen.threads
times = in_turns(chosen.turns, step_ms, ways)
alone = times[["alone", "alone, one thread"]].min(axis=1)
rows = [
    {
        "networks": way,
        "ms a step and network": spread(column, 3),
        "s an epoch": round(column.median() * 60 / BATCH, 2),
        "times as fast": spread(alone / column, 1),
    }
    for way, column in times.items()
]
show(f"Small Net, batch {BATCH}, {chosen.threads} threads", rows)
