"""What networks are called, in tables and to read."""

from tradeoffs.experiments import variant
from tradeoffs.models import KNOWN_MODELS
from tradeoffs.recorded import CHOSEN_SMALL_NET

# The Small Net that the recorded search chose: its full name is a line long.
CHOSEN = variant("small_net", CHOSEN_SMALL_NET)


def label(name: str) -> str:
    """A network's name to read, from a variant or a row of `cost_table`.

    >>> label("keras_mlp"), label("keras_mlp,pytorch"), label("my_net")
    ('Keras MLP', 'Keras MLP, pytorch', 'my_net')
    >>> label("gap_cnn,dropout=true"), label(f"{CHOSEN},onnxruntime,int8")
    ('GAP CNN, dropout=true', 'Small Net, chosen, onnxruntime, int8')
    >>> "chosen" in label(f"{CHOSEN}5")  # of another slope
    False
    """
    # A comma at the end, so that slope=0.3 is no part of slope=0.35.
    parts = f"{name},".replace(f"{CHOSEN},", "small_net,chosen,").split(",")
    model, *arguments = parts[:-1]
    info = KNOWN_MODELS.get(model)
    return ", ".join([info.label, *arguments]) if info else name
