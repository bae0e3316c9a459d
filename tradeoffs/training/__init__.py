"""Training any network on any data set under a schedule.

The loop is the same for both frameworks, and for one network and for many side by
side; `Trainer`s take the steps and evaluate. Images wait in memory as one tensor
and are gathered there by index: at this size a data loader would cost more than
the network.
"""

import contextlib
import importlib
import re
import time

import numpy as np

from tradeoffs.checks import instance, kind_of, whole_number
from tradeoffs.data import Dataset
from tradeoffs.experiments import HISTORY_COLUMNS, Experiment, Run, environment
from tradeoffs.frameworks import default_threads, framework_of, num_threads, set_threads
from tradeoffs.progress import bar
from tradeoffs.schedules import Schedule
from tradeoffs.training.batches import chunks

MAX_THREADS = 1024


class TrainingError(RuntimeError):
    """A training that cannot go on; the message says what to try.

    >>> import tradeoffs
    >>> network, few = tradeoffs.build("small_net"), tradeoffs.mnist().head(500, 100)
    >>> too_fast = tradeoffs.altered(learning_rate=1e9)
    >>> tradeoffs.fit(network, few, too_fast)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tradeoffs.training.TrainingError: the training loss became ... in epoch 1; try ...
    """


class TrainingWarning(UserWarning):
    """A network is trained in another way than it was made for."""


def fit(
    model,
    dataset: Dataset,
    schedule: Schedule,
    seed: int = 0,
    *,
    experiment: Experiment | None = None,
    threads: int | None = None,
    progress: bool = True,
    position: int | None = None,
    first_epochs: int | None = None,
) -> Run:
    """Train a network, in place, from the weights it has.

    Args:
        model: a `torch.nn.Module` that takes images [n, 1, h, w] and
            returns logits [n, classes], on whatever device it is; or a
            `keras.Model` that takes [n, h, w, 1] and returns probabilities
            or logits.
        dataset: as from `tradeoffs.mnist()`.
        schedule: as `tradeoffs.ARTICLE`.
        seed: of the order of the images, of dropout and of augmentation. The same
            seed on the same machine, threads and versions gives the same run. With a
            Keras model, TensorFlow's and Keras' own generators are set to it, too.
        experiment: what to file the run under; by default one that names the
            model's class.
        threads: to compute on; by default as many as pay, see
            `tradeoffs.frameworks.default_threads`. Keras takes them only before
            TensorFlow's first computation.
        progress: show one bar with the loss, the accuracy and the time left.
        position: the line of the bar, where several processes show one.
        first_epochs: stop after so many epochs of the schedule.

    Returns:
        A `Run`. Its train seconds leave out evaluation and compilation.

    Raises:
        TypeError: the model, data set or schedule is of another type.
        TrainingError: the loss is no longer a finite number.
        ValueError: a value of the schedule that Keras is not given here.
        RuntimeError: Keras cannot take these threads any more.

    >>> import tradeoffs
    >>> network, few = tradeoffs.build("gap_cnn"), tradeoffs.mnist().head(2000, 500)
    >>> run = tradeoffs.fit(network, few, tradeoffs.altered(2))
    >>> run.num_parameters, len(run.history), run.test_accuracy > 0.3
    (7090, 2, True)
    """
    framework, seed = framework_of(model), whole_number("seed", seed, least=0)
    check_options(dataset, schedule, threads, first_epochs)
    experiment = experiment or Experiment(
        type(model).__name__, framework, schedule, seed, dataset=dataset.name
    )
    check_schedules([experiment], [schedule], [seed])
    if framework == "keras" and threads is not None:
        set_threads(framework, threads)
    backend = importlib.import_module(f"tradeoffs.training.{framework}")
    trainer = backend.Trainer(model, dataset, schedule, seed)
    (found,) = train_epochs(
        trainer, dataset, [experiment], threads, progress, position, first_epochs
    )
    if isinstance(found, TrainingError):
        raise found
    return found


def train_epochs(
    trainer, dataset, experiments, threads, progress, position, first_epochs
) -> list[Run | TrainingError]:
    """The loop over epochs, for one network or for several in one `Trainer`.

    Args:
        trainer: takes steps for every experiment at once. With several networks
            its indices, losses and predictions have an axis of networks in front.
        dataset, threads, progress, position, first_epochs: as for `fit`.
        experiments: one a network, of equal epochs and batch sizes.

    Returns:
        A `Run` for each, or the error of one whose loss is no longer finite.
    """
    schedules = [experiment.schedule for experiment in experiments]
    epochs = min(first_epochs or schedules[0].epochs, schedules[0].epochs)
    orders = [np.random.default_rng(experiment.seed) for experiment in experiments]
    runs = [{column: [] for column in HISTORY_COLUMNS} for _ in experiments]
    errors = [None] * len(experiments)
    num_images, first = len(dataset.train_labels), experiments[0]
    title = f"{first.model} seed {first.seed}"

    with (
        computing_on(trainer, threads),
        bar(
            progress,
            total=epochs * num_images,
            desc=f"{len(runs)} networks" if trainer.stacked else title,
            unit=" images",
            unit_scale=True,
            position=position,
            leave=position is None,
        ) as shown,
    ):
        for epoch in range(1, epochs + 1):
            trainer.set_learning_rates([s.learning_rate_of(epoch) for s in schedules])
            order = np.stack([order.permutation(num_images) for order in orders])
            train_losses, seconds = _train_epoch(
                trainer, order if trainer.stacked else order[0], first.schedule, shown
            )
            with _failing("while it is tested"):
                test_losses, predictions = map(np.atleast_1d, trainer.evaluate())
            predictions = predictions.reshape(len(runs), -1)
            accuracies = (predictions == dataset.test_labels).mean(1)
            for k, history in enumerate(runs):
                losses = float(train_losses[k]), float(test_losses[k])
                for kind, loss in zip(("training", "test"), losses, strict=True):
                    if errors[k] is None and not np.isfinite(loss):
                        rate = schedules[k].learning_rate_of(epoch)
                        errors[k] = TrainingError(
                            f"the {kind} loss became {loss} in epoch {epoch}; try a "
                            f"learning rate below {rate:g}, another seed, or look for "
                            "a division or logarithm in the model"
                        )
                row = epoch, *losses, float(accuracies[k]), seconds / len(runs)
                for column, value in zip(HISTORY_COLUMNS, row, strict=True):
                    history[column].append(value)
            if all(errors):
                break
            best = int(accuracies.argmax())
            shown.set_postfix_str(
                f"loss {test_losses[best]:.4f}, accuracy {accuracies[best]:.2%}"
            )
        noted = environment(trainer.framework)
    if trainer.stacked:
        noted["trained_side_by_side"] = len(runs)
    predictions = predictions.astype(np.min_scalar_type(predictions.max()))
    counts = trainer.num_parameters()
    return [
        error or Run(experiments[k], counts[k], runs[k], predictions[k], noted)
        for k, error in enumerate(errors)
    ]


@contextlib.contextmanager
def computing_on(trainer, threads: int | None = None):
    """Let PyTorch compute on so many threads meanwhile, or on as many as pay.

    A reader who has set fewer keeps them. TensorFlow's number stays what it is.
    """
    with contextlib.ExitStack() as afterwards:
        if trainer.framework == "pytorch":
            before = num_threads("pytorch")
            if threads is None:
                threads = min(before, default_threads(trainer.step_macs()))
            afterwards.callback(set_threads, "pytorch", before)
            set_threads("pytorch", threads)
        yield


def check_options(dataset, schedule, threads, first_epochs) -> None:
    """Raise a TypeError or a ValueError unless `fit` takes them."""
    instance("dataset", dataset, Dataset, "tradeoffs.mnist()")
    instance("schedule", schedule, Schedule, "tradeoffs.ARTICLE")
    if threads is not None:
        whole_number("threads", threads, most=MAX_THREADS)
    if first_epochs is not None:
        whole_number("first_epochs", first_epochs)


def check_schedules(experiments, schedules, seeds) -> None:
    """Raise a ValueError unless runs are filed under what they are trained by."""
    for experiment, *trained_by in zip(experiments, schedules, seeds, strict=True):
        example = 'tradeoffs.Experiment("mine", "pytorch", schedule)'
        instance("experiment", experiment, Experiment, example)
        for name, own in zip(("schedule", "seed"), trained_by, strict=True):
            if (filed := getattr(experiment, name)) != own:
                said = f"under {name} {filed}, but the training under {own}"
                raise ValueError(f"{experiment.path} is {said}")


def first_outputs(name: str, model, images, dataset):
    """What a model returns for a few images, if that fits the labels.

    Raises:
        TrainingError: the model cannot take them, or its output is no [n, classes].
        ValueError: it has too few outputs for the labels.
    """
    try:
        outputs = model(images)
    except Exception as error:
        dtype = getattr(images.dtype, "name", images.dtype)
        raise TrainingError(
            f"{name} cannot take images as {dtype} tensors of shape "
            f"{tuple(images.shape)}: {one_sentence(error)}"
        ) from error
    classes = num_classes(outputs, len(images))
    if isinstance(classes, str):
        raise TrainingError(f"{name} {classes}")
    for part in ("train_labels", "test_labels"):
        labels = np.asarray(getattr(dataset, part))
        if labels.max() >= classes:
            raise ValueError(
                f"{part} go from {labels.min()} to {labels.max()}, and {name} has "
                f"{classes} outputs, for labels from 0 to {classes - 1}"
            )
    return outputs


def num_classes(outputs, count: int) -> int | str:
    """Of a model's outputs for so many inputs; or why it cannot be trained."""
    shape = tuple(outputs.shape) if hasattr(type(outputs), "shape") else ()
    if len(shape) == 2 and shape[0] == count and not isinstance(outputs, np.ndarray):
        return int(shape[1])
    return (
        f"returned a {kind_of(outputs)} for {count} inputs; to be trained it must "
        "return one tensor [n, classes]"
    )


def one_sentence(error) -> str:
    """What an exception says, on one line: its two ends, where it is long."""
    text = re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", str(error)).strip()  # colours
    if text.startswith("in user code:"):  # TensorFlow then lists the code
        text = text.split("\n\n")[-1]
    text = " ".join(text.split()) or repr(error)
    if "does not require grad" in text:
        text += "; a forward that takes gradients needs torch.enable_grad() around them"
    if len(text) > 300:
        text = re.sub(r"(\[\[.*?\]\]+ ?)+", "[...] ", text)  # the values of a tensor
    return text if len(text) <= 300 else f"{text[:130]} ... {text[-165:]}"


@contextlib.contextmanager
def _failing(when):
    """What a model raises is a `TrainingError`, in one sentence."""
    try:
        yield
    except (TrainingError, MemoryError):
        raise
    except Exception as error:
        said = f"{when}, the model fails: {one_sentence(error)}"
        raise TrainingError(said) from error


def _train_epoch(trainer, order, schedule, shown):
    """One pass in the given orders: mean losses a sample [K], and seconds."""
    total, seconds = 0.0, 0.0
    for indices in chunks(order, schedule.batch_size):
        start = time.perf_counter()
        with _failing("while it trains"):
            losses = np.atleast_1d(trainer.train_steps(indices))
        seconds += time.perf_counter() - start
        total = total + losses * indices.shape[-1]
        shown.update(indices.shape[-2] * indices.shape[-1])
        if not np.isfinite(losses).any():
            break
    return total / order.shape[-1], seconds
