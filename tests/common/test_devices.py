"""The device that a user names: where it is not there, a line says what is."""

import subprocess
import sys
from pathlib import Path

import jax
import pytest

from common import devices
from common.errors import InputError


def test_the_processor_may_be_chosen_and_a_gpu_only_where_one_is():
    code = "from common import devices; import jax; devices.use('cpu'); print(jax.devices())"
    root = Path(devices.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=root, check=True)
    assert b"CpuDevice" in done.stdout or b"TFRT_CPU_0" in done.stdout


@pytest.mark.skipif(jax.default_backend() == "gpu", reason="there is a GPU here")
@pytest.mark.parametrize("wanted", ["gpu", "cuda:0", "cuda:7"])
def test_a_gpu_that_is_not_there_is_told(wanted):
    try:
        with pytest.raises(InputError, match=f"--device {wanted}: not there, JAX finds only cpu"):
            devices.use(wanted)
    finally:
        jax.config.update("jax_cuda_visible_devices", "all")
