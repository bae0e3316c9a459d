"""`python -m tradeoffs smaller`."""

from tradeoffs import fetching, smaller

DESCRIPTION = """\
Without an option, list the networks that were chosen with at most so many parameters,
and what they score on the test images. The test images are read once for each of them;
docs/protocol.md says how they were chosen.
"""


def run(options) -> None:
    """Test rows if any are named, then list what is known."""
    if options.test:
        fetching.fetch()
        smaller.read_test_images(options.test, jobs=options.jobs)
    print(smaller.row_table().to_string(index=False))
