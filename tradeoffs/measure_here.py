"""Measure a model file: python measure_here.py MODEL [THREADS [BATCH]] > mine.json"""

import json
import platform
import sys
import time
from importlib import import_module, metadata
from pathlib import Path

BEGAN = time.perf_counter()
import numpy as np  # with onnxruntime or ai-edge-litert, all that it needs


def load(path, threads, count):
    """A batch, of so many or of as many as the file fixes, and a function of it."""
    if onnx := path.lower().endswith(".onnx"):
        runtime = import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        net = runtime.InferenceSession(path, options)
        given = [(i.name, i.type[7:-1], i.shape) for i in net.get_inputs()]
    else:
        runtime = import_module("ai_edge_litert.interpreter")
        net = runtime.Interpreter(path, num_threads=threads)
        found, key = net.get_input_details(), "shape_signature"
        given = [(i["name"], i["dtype"].__name__, i[key].tolist()) for i in found]
    kind, shape = given[0][1:] if len(given) == 1 else ("", [])
    first, *rest = [int(n) if str(n).isdigit() else 0 for n in shape] or [1]
    if kind not in np.sctypeDict or not all(rest or [not first]):
        sys.exit(f"it takes {given}; it must be one NumPy array [n, ...], only n free")
    batch = np.ones((first or count, *rest), {"float": "float32"}.get(kind, kind))
    if onnx:
        return batch, lambda x: net.run(None, {given[0][0]: x})[0]
    i, o = found[0]["index"], net.get_output_details()[0]["index"]
    net.resize_tensor_input(i, batch.shape)
    net.allocate_tensors()
    return batch, lambda x: net.set_tensor(i, x) or net.invoke() or net.get_tensor(o)


def seconds(run, inputs):
    """Of 20 calls and more, after a warm-up of ten; of fewer that take a minute."""
    spent = []
    while (n := len(spent)) < 3 or (sum(spent) < (60 if n < 30 else 5) and n < 1000):
        start = time.perf_counter()
        run(inputs)
        spent.append(time.perf_counter() - start)
    return np.array(spent[min(10, n // 3) :])


def main(path, threads="1", most="1000"):
    """Print the profile of a file, as `tradeoffs.Profile.load` reads it."""
    batch, run = load(str(path), int(threads), 1)
    run(batch)
    found = {"startup_seconds": time.perf_counter() - BEGAN, "name": path.stem}
    status = Path("/proc/self/status")  # where Linux has the peak of memory, in KiB
    peak = status.read_text().split("VmHWM:")[1].split()[0] if status.exists() else None
    found |= {"startup_memory_mib": peak and int(peak) / 1024, "threads": int(threads)}
    found["notes"] = [f"latency is of {len(batch)} inputs at once"] * (len(batch) > 1)
    latencies, start = seconds(run, batch) * 1000, time.perf_counter()
    batch, run = load(str(path), int(threads), int(most))
    found["load_seconds"] = time.perf_counter() - start
    found |= {f"latency_ms_p{p}": np.percentile(latencies, p) for p in (50, 90, 99)}
    found |= {"inference_batch_size": len(batch), "input_shape": batch.shape[1:]}
    each = np.median(seconds(run, batch)) / len(batch)
    found |= {"inference_seconds": 10_000 * each, "images_per_second": 1 / each}
    if (images := Path(__file__).with_name("images.npz")).exists():
        known = np.load(images)
        answers = run(known["images"][: len(batch)].reshape(batch.shape)).argmax(1)
        found["test_accuracy"] = np.mean(answers == known["labels"][: len(batch)])
    runtime = "onnxruntime" if "onnxruntime" in sys.modules else "ai-edge-litert"
    found |= {"framework": runtime, "versions": {runtime: metadata.version(runtime)}}
    found["processor"] = platform.processor() or platform.machine()
    names = path.read_bytes().split(b"\n\x08location\x12")[1:]  # length, name
    files = {path, *(path.parent / str(w[1:][: w[0]], errors="ignore") for w in names)}
    found["file_bytes"] = sum(f.stat().st_size for f in files if f.is_file())
    print(json.dumps({"format": 1, "profile": found}, indent=1))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]), *sys.argv[2:])
