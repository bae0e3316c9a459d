"""The process in which a model is measured: `python -m tradeoffs.probes.child`.

Takes an order, a JSON file that `tradeoffs.probes` wrote, and answers with one
JSON object a line on its standard output: {"stage": ...} as it goes, then
{"result": ...} or {"error": ...}.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tradeoffs.probes.loading import Refused
from tradeoffs.probes.tasks import TASKS
from tradeoffs.probes.timing import seconds_spent


def main(path: str) -> int:
    """Carry out the order in a file."""
    # What the model prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**message):
        print(json.dumps(message), file=answers, flush=True)

    order = json.loads(Path(path).read_text())
    try:
        result = TASKS[order["task"]](order, lambda stage: answer(stage=stage))
        answer(result=result, seconds_in_model=seconds_spent())
    except Refused as error:
        answer(error=str(error))
        return 1
    except Exception as error:
        answer(error=_explained(error, order))
        return 1
    return 0


def _explained(error, order):
    text = " ".join(str(error).split())
    if (
        isinstance(error, MemoryError)
        or "can't allocate memory" in text
        or (type(error).__name__ == "ResourceExhaustedError")
    ):
        return (
            f"there is not enough memory at batch size {order['batch_size']}; try a "
            "smaller one"
        )
    return f"{type(error).__name__}: {text[:300]}"


if __name__ == "__main__":
    status = main(sys.argv[1])
    sys.stderr.flush()
    # To take a framework down in order takes it a second or two, for nothing.
    os._exit(status)
