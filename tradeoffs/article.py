"""The numbers that the article prints, and those that the authors state.

Source: Michał Marcinkiewicz, 'The Real World is not a Kaggle Competition'.
"""

# Test accuracy under the common schedule, from 0 to 1.
ACCURACY = {
    "keras_mlp": 0.9860,
    "keras_cnn": 0.9926,
    "pytorch_cnn": 0.9896,
    "gap_cnn": 0.9893,
    "small_net": 0.9601,
}

# Test loss (cross-entropy, nats), where the article prints it.
LOSS = {"gap_cnn": 0.0344, "small_net": 0.1387}

# What the Keras examples claim of themselves, under their own recipes.
AUTHORS_ACCURACY = {"keras_mlp": 0.9840, "keras_cnn": 0.9925}

NUM_PARAMETERS = {
    "keras_mlp": 669_706,
    "keras_cnn": 1_199_882,
    "pytorch_cnn": 21_840,
    "gap_cnn": 7_090,
    "small_net": 518,
}

# Size in MiB (the article writes MB), seconds on a CPU, GPU memory in MiB when
# training at batch 16 and at batch 8,192. What is absent, it does not say.
COSTS = {
    "keras_cnn": {
        "size_mib": 4.58,
        "epoch_seconds": 120,
        "inference_seconds": 10,
        "train_memory_mib": 909,
        "train_memory_large_mib": 5911,
    },
    "pytorch_cnn": {
        "size_mib": 0.08,
        "epoch_seconds": 20,
        "inference_seconds": 2,
        "train_memory_mib": 539,
        "train_memory_large_mib": 1247,
    },
    "gap_cnn": {"size_mib": 0.03},
    "small_net": {"epoch_seconds": 11, "inference_seconds": 1},
}
SMALL_BATCH, LARGE_BATCH = 16, 8192
