"""Measure an exported model: python measure_here.py MODEL [THREADS] > mine.json

Needs NumPy, and onnxruntime or ai-edge-litert. `tradeoffs.Profile.load` reads it.
"""

import json
import platform
import sys
import time
from importlib import metadata
from pathlib import Path

BEGAN = time.perf_counter()
import numpy as np


def load(path, threads, count):
    """The shape and type of the inputs, and a function of so many of them."""
    if path.endswith(".onnx"):
        import onnxruntime as runtime

        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        model = runtime.InferenceSession(path, options)
        (given,) = model.get_inputs()
        dtype = given.type[7:-1].replace("float", "float32")
        return given.shape, dtype, lambda batch: model.run(None, {given.name: batch})[0]
    from ai_edge_litert.interpreter import Interpreter

    model = Interpreter(path, num_threads=threads)
    (given,), (answer,) = model.get_input_details(), model.get_output_details()
    model.resize_tensor_input(given["index"], (count, *given["shape"][1:]))
    model.allocate_tensors()

    def run(batch):
        model.set_tensor(given["index"], batch)
        model.invoke()
        return model.get_tensor(answer["index"])

    return [None, *given["shape"].tolist()[1:]], given["dtype"], run


def seconds(run, inputs):
    """Of each of 20 calls and more, after a warm-up of ten."""
    spent = []
    while len(spent) < 30 or (len(spent) < 1000 and sum(spent) < 5):
        start = time.perf_counter()
        run(inputs)
        spent.append(time.perf_counter() - start)
    return np.array(spent[10:])


def main(path, threads="1"):
    """Print the profile of a file."""
    (batch, *shape), dtype, run = load(path, int(threads), 1)
    run(np.ones((1, *shape), dtype))
    found = {"startup_seconds": time.perf_counter() - BEGAN, "name": Path(path).stem}
    status = Path("/proc/self/status")  # where Linux has the peak of memory, in KiB
    peak = status.read_text().split("VmHWM:")[1].split()[0] if status.exists() else None
    found |= {"startup_memory_mib": peak and int(peak) / 1024, "input_shape": shape}
    latencies = seconds(run, np.ones((1, *shape), dtype)) * 1000
    found |= {f"latency_ms_p{p}": np.percentile(latencies, p) for p in (50, 90, 99)}
    batch, start = batch if isinstance(batch, int) else 1000, time.perf_counter()
    _, _, run = load(path, int(threads), batch)
    found |= {"load_seconds": time.perf_counter() - start, "threads": int(threads)}
    each = np.median(seconds(run, np.ones((batch, *shape), dtype))) / batch
    found |= {"inference_seconds": 10_000 * each, "images_per_second": 1 / each}
    if (images := Path(__file__).with_name("images.npz")).exists():
        known = np.load(images)
        answers = run(known["images"][:batch].reshape(-1, *shape)).argmax(1)
        found["test_accuracy"] = np.mean(answers == known["labels"][:batch])
    runtime = "onnxruntime" if path.endswith(".onnx") else "ai-edge-litert"
    found |= {"framework": runtime, "versions": {runtime: metadata.version(runtime)}}
    found |= {"file_bytes": Path(path).stat().st_size, "inference_batch_size": batch}
    found["processor"] = platform.processor() or platform.machine()
    print(json.dumps({"format": 1, "profile": found}, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
