"""The device that a command computes on, where the user names one."""

import re

from common.errors import InputError

_GPU = re.compile(r"gpu|(?:cuda|gpu):([0-9]{1,3})")


def use(wanted: str | None) -> None:
    """Have JAX compute on this device: cpu, gpu, or cuda:N; None leaves it to JAX.

    To be called before anything is computed. GPUs are numbered as CUDA shows them to this process.

    Raises:
        InputError: no such device, or none that JAX can use here.
    """
    import jax

    if wanted is None:
        return
    gpu = _GPU.fullmatch(wanted)
    if wanted == "cpu":
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_default_device", jax.devices("cpu")[0])
    elif gpu is None:
        raise InputError(f"--device {wanted}: no such device, choose cpu, gpu, or cuda:N as cuda:0")
    else:
        _use_gpu(wanted, gpu[1])


def _use_gpu(wanted: str, number: str | None) -> None:
    import jax

    if number is not None:
        jax.config.update("jax_cuda_visible_devices", number)
    try:
        jax.devices("gpu")
    except RuntimeError:
        there = ", ".join(sorted({device.platform for device in jax.devices()}))
        raise InputError(f"--device {wanted}: not there, JAX finds only {there}") from None
