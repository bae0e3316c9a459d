"""A process that works on a search, and how tests start it and look on.

As a program its argument is JSON: the storage, and how much there is to do.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter

import optuna
import sqlalchemy

import tradeoffs
from tradeoffs import ARTICLE
from tradeoffs.searches.storage import storage_url

SPACE = {
    "filters": [[2, 3], [3, 4]],
    "pooling": [{"pool": 4}, {"pool": 4, "pool_kind": "average"}],
    "slope": [0.0, 0.01, 0.1],
}
NUM_NETWORKS = 12
MAX_NETWORKS = 3
HEARTBEAT_SECONDS = 1
STATES = optuna.trial.TrialState

# By SQL, for Optuna would make what is not there yet, and race its makers.
RUNNING = """
SELECT a.value_json FROM trials t
JOIN trial_user_attributes a ON a.trial_id = t.trial_id AND a.key = 'process'
WHERE t.state = 'RUNNING'
"""
IN_THE_MIDDLE = f"""{RUNNING}
AND EXISTS (SELECT 1 FROM trial_intermediate_values i WHERE i.trial_id = t.trial_id)
"""


def plan_arguments(epochs, num_images):
    return {
        "space": SPACE,
        "schedule": ARTICLE.first(epochs),
        "num_images": num_images,
    }


def start_worker(storage, epochs, num_images):
    order = {"storage": storage, "epochs": epochs, "num_images": num_images}
    return subprocess.Popen(
        [sys.executable, __file__, json.dumps(order)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def trials_in(storage):
    """Every trial of the one study in a storage."""
    url = storage_url(storage)
    (name,) = optuna.get_all_study_names(url)
    return optuna.load_study(study_name=name, storage=url).trials


def check_every_point_once(trials, count):
    done = [t for t in trials if t.state == STATES.COMPLETE]
    points = Counter(t.user_attrs["point"] for t in done)
    assert points == dict.fromkeys(range(count), 1)
    assert {t.state for t in trials} <= {STATES.COMPLETE, STATES.FAIL}


def wait_for_a_running_trial(storage, intermediate=True, seconds=120):
    """The process that trains one; with some epochs behind it, if wanted."""
    engine = sqlalchemy.create_engine(storage_url(storage))
    query = sqlalchemy.text(IN_THE_MIDDLE if intermediate else RUNNING)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.1)
        try:
            with engine.connect() as connection:
                found = connection.execute(query).first()
        except (sqlalchemy.exc.OperationalError, sqlalchemy.exc.ProgrammingError):
            continue  # no tables yet
        if found:
            return int(found[0])
    raise AssertionError(f"no trial runs after {seconds} seconds")


def work(order):
    import torch

    torch.set_num_threads(1)
    frame = tradeoffs.search(
        **plan_arguments(order["epochs"], order["num_images"]),
        storage=order["storage"],
        heartbeat_seconds=HEARTBEAT_SECONDS,
        max_networks=MAX_NETWORKS,
    )
    print(len(frame), "networks")


if __name__ == "__main__":
    work(json.loads(sys.argv[1]))
