"""The figures that the article prints, and those that the authors claim.

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

# What the Keras examples claim of themselves, under their own recipes.
AUTHORS_ACCURACY = {"keras_mlp": 0.9840, "keras_cnn": 0.9925}

NUM_PARAMETERS = {
    "keras_mlp": 669_706,
    "keras_cnn": 1_199_882,
    "pytorch_cnn": 21_840,
    "gap_cnn": 7_090,
    "small_net": 518,
}
