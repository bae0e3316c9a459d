"""`python -m tradeoffs smaller`."""

from __future__ import annotations

from tradeoffs import fetching, smaller

DESCRIPTION = """\
Without an option, list the networks that were chosen with at most so many parameters,
and what they score on the test images. The test images are read once for each of them;
docs/protocol.md says how they were chosen.
"""


def run(options) -> None:
    """List the rows, or test one."""
    if options.test is None:
        print(smaller.row_table().to_string(index=False))
        return
    fetching.fetch()
    found = [run.test_accuracy for run in smaller.read_test_images(options.test)]
    print(f"{options.test} parameters at most:", *(f"{a:.2%}" for a in found))
