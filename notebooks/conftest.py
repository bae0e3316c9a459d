"""What nbval leaves out of its comparison."""

import os

os.environ["TQDM_DISABLE"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pytest_collectstart(collector):
    # Frameworks log to stderr what differs from machine to machine.
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr",)
