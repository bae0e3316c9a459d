"""Whether two accuracies differ by more than chance explains."""

import numpy as np
import pandas as pd

from tradeoffs.checks import array_view, number, one_data_set, whole_number
from tradeoffs.experiments import Run


def wilson_interval(accuracy: float, num_images: int = 10_000) -> tuple[float, float]:
    """Where the accuracy on further images of the kind would lie, from 0 to 1.

    Wilson's score interval for a share, at 95 %. It is about the images that were
    drawn for the test, not about the seed of the training.

    Args:
        accuracy: on the test images, from 0 to 1; may be a mean over seeds, and is
            rounded to whole images.
        num_images: of the test.

    Raises:
        TypeError, ValueError: not a number, or one out of range.

    >>> low, high = wilson_interval(0.9893)
    >>> f"{low:.4f} to {high:.4f}"
    '0.9871 to 0.9911'
    """
    from scipy.stats import binomtest

    n = whole_number("num_images", num_images)
    right = round(number("accuracy", accuracy, least=0, most=1) * n)
    return tuple(binomtest(right, n).proportion_ci(method="wilson"))


def paired_test(first: Run, second: Run, labels: np.ndarray) -> dict[str, float]:
    """McNemar's exact test: do two runs err differently often on the same images?

    Only the images that one of the two gets right tell them apart.

    Returns:
        The number of images that only the first and only the second gets
        right, and the p-value under the hypothesis that they err alike.

    Raises:
        TypeError, ValueError: labels that are no whole numbers, [n]; or the numbers
            of predictions and labels, or the data sets, differ.

    >>> import tradeoffs
    >>> first, second = tradeoffs.run("gap_cnn"), tradeoffs.run("pytorch_cnn")
    >>> found = tradeoffs.paired_test(first, second, tradeoffs.mnist().test_labels)
    >>> {name: round(number, 3) for name, number in found.items()}
    {'only_first_right': 51, 'only_second_right': 36, 'p_value': 0.133}
    """
    from scipy.stats import binomtest

    one_data_set((first, second))
    a, b = (run.test_predictions for run in (first, second))
    labels = array_view("labels", labels, {1: "[n]"}, np.integer)
    if not len(a) == len(b) == len(labels):
        raise ValueError(
            f"{len(a)} and {len(b)} predictions do not pair with {len(labels)} labels"
        )
    only_first = int(np.sum((a == labels) & (b != labels)))
    only_second = int(np.sum((a != labels) & (b == labels)))
    apart = only_first + only_second
    return {
        "only_first_right": only_first,
        "only_second_right": only_second,
        "p_value": float(binomtest(only_first, apart).pvalue) if apart else 1.0,
    }


def paired_tests(first: list[Run], second: list[Run], labels: np.ndarray):
    """`paired_test` of each pair of runs, as a DataFrame to read, a row a seed.

    Raises:
        TypeError, ValueError: as `paired_test`; no runs, or of different seeds.

    >>> import tradeoffs
    >>> first, second = tradeoffs.runs("gap_cnn"), tradeoffs.runs("pytorch_cnn")
    >>> labels = tradeoffs.mnist().test_labels
    >>> table = tradeoffs.paired_tests(first[:5], second[:5], labels)
    >>> table.p_value.to_dict()
    {0: '0.133', 1: '0.002', 2: '0.155', 3: '0.241', 4: '< 0.001'}
    """
    first, second = list(first), list(second)
    seeds, others = ([run.experiment.seed for run in of] for of in (first, second))
    if not seeds or seeds != others:
        raise ValueError(f"runs of seeds {seeds} do not pair with those of {others}")
    rows = [paired_test(a, b, labels) for a, b in zip(first, second, strict=True)]
    table = pd.DataFrame(rows, index=pd.Index(seeds, name="seed"))
    written = [f"{p:.3f}" if p >= 0.001 else "< 0.001" for p in table.p_value]
    return table.assign(p_value=written)
