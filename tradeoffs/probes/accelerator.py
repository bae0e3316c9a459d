"""Memory of an accelerator, where there is one.

Written against the documented interfaces; the tests run without a GPU.
"""

from __future__ import annotations

import os

from tradeoffs.probes.profile import MIB

DEVICES = ("cpu", "cuda", "mps")


def pytorch_memory(device: str) -> dict[str, float]:
    """MiB that PyTorch holds on the device, for `Profile`; empty on the CPU."""
    import torch

    if device == "cuda":
        found = {
            "accelerator_allocated_mib": torch.cuda.max_memory_allocated() / MIB,
            "accelerator_reserved_mib": torch.cuda.max_memory_reserved() / MIB,
        }
        return found | cuda_process_memory(torch.cuda.current_device())
    if device == "mps":
        # MPS keeps no peak; after a step its driver still holds the blocks.
        return {
            "accelerator_allocated_mib": torch.mps.current_allocated_memory() / MIB,
            "accelerator_reserved_mib": torch.mps.driver_allocated_memory() / MIB,
        }
    return {}


def tensorflow_memory(device: str) -> dict[str, float]:
    """MiB that TensorFlow holds on the device, for `Profile`; empty on the CPU."""
    if device != "cuda":
        return {}
    import tensorflow as tf

    peak = tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return {"accelerator_allocated_mib": peak / MIB} | cuda_process_memory(0)


def cuda_process_memory(index: int) -> dict[str, float]:
    """MiB that the driver counts for this process on a CUDA device.

    Empty where the driver does not tell, as in some containers.
    """
    import pynvml

    pynvml.nvmlInit()
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle):
            if process.pid == os.getpid() and process.usedGpuMemory:
                return {"accelerator_process_mib": process.usedGpuMemory / MIB}
        return {}
    finally:
        pynvml.nvmlShutdown()


def available_devices(framework: str) -> list[str]:
    """The devices that a framework can compute on here."""
    if framework == "keras":
        import tensorflow as tf

        return ["cpu", *(["cuda"] if tf.config.list_physical_devices("GPU") else [])]
    import torch

    found = ["cpu"]
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return found
