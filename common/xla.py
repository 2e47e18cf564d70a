"""Settings of XLA and of the process's memory that must be made before JAX starts.

Import-light on purpose: importing this module imports no JAX.
"""

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

from common import files, paths, terminal
from common.errors import InputError
from common.text import shortened

# XLA 2026's own fusion of single convolutions is up to four times slower in their gradients than
# the Eigen kernels it replaces; the reductions and products of the same library stay.
_EXPERIMENTAL = "--xla_cpu_experimental_ynn_fusion_type=-individual_convolution"
# Without it a GPU sums in whatever order its threads finish: the same command, other bits.
_DETERMINISTIC = "--xla_gpu_deterministic_ops=true"
# Starts XLA's CPU backend, which reads XLA_FLAGS, at a tenth of the time that JAX itself needs.
_PROBE = "from jaxlib import xla_client; xla_client.make_cpu_client()"
THREADS = "NPROC"  # how many threads XLA's CPU backend has; else as many as there are cores
_HUGE_PAGES = "glibc.malloc.hugetlb"
# Settings of JAX by which the same code computes something else: other bits, or other draws.
_SET_ASIDE = frozenset(
    f"JAX_{name}"
    for name in (
        "ALLOW_F16_REDUCTIONS",
        "COMPILER_ENABLE_REMAT_PASS",
        "DEFAULT_DTYPE_BITS",
        "DEFAULT_PRNG_IMPL",
        "DISABLE_JIT",
        "DISABLE_MOST_OPTIMIZATIONS",
        "ENABLE_CUSTOM_PRNG",
        "ENABLE_X64",
        "EXEC_TIME_OPTIMIZATION_EFFORT",
        "EXPLICIT_X64_DTYPES",
        "HIGH_DYNAMIC_RANGE_GUMBEL",
        "LEGACY_PRNG_KEY",
        "NO_EXECUTION",
        "NUMPY_DTYPE_PROMOTION",
        "NUMPY_RANK_PROMOTION",
        "OPTIMIZATION_LEVEL",
        "RANDOM_SEED_OFFSET",
        "SOFTMAX_CUSTOM_JVP",
        "THREEFRY_PARTITIONABLE",
        "USE_MAGMA",
    )
)
_KERNEL_SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_MOST_MAPPINGS = Path("/proc/sys/vm/max_map_count")  # of a process; Linux only


def configure() -> None:
    """Set XLA's flags, precision and persistent compilation cache; what the user has set stays.

    To be called before JAX is imported. Products and convolutions of float32 are computed in
    float32: a GPU or TPU would round their inputs to TF32 or bfloat16 by default, and the CPU's
    programs are the same with and without. Operations on a GPU are deterministic. Programs are kept
    in `paths.compilation()`, however quickly they compile: an evaluation has hundreds of them.
    What the user has set that would change numbers is set aside, and said.
    """
    for name in sorted(_SET_ASIDE & os.environ.keys()):
        terminal.note(f"{name}={os.environ.pop(name)} is set aside: it changes what is computed")
    flags = os.environ.get("XLA_FLAGS", "")
    if not _is_set(_EXPERIMENTAL, flags) and _accepted(_EXPERIMENTAL):
        flags = f"{flags} {_EXPERIMENTAL}".strip()
    if not _is_set(_DETERMINISTIC, flags) and _runs_on_gpu():
        flags = f"{flags} {_DETERMINISTIC}".strip()
    os.environ["XLA_FLAGS"] = flags
    os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "float32")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(paths.compilation()))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


def of_platform(error: BaseException) -> InputError | None:
    """Return what JAX cannot do as the environment sets it, where that is behind an error."""
    words = " ".join(str(error).split())
    if isinstance(error, ValueError) and "JAX" in words and words.lower().startswith("invalid"):
        return InputError(f"{words}; correct this variable of the environment, or unset it")
    asked = os.environ.get("JAX_PLATFORMS")
    if not asked or ("nable to initialize backend" not in words and _starts()):
        return None
    why = f" ({shortened(words)})" if words else ""
    return InputError(
        f"JAX_PLATFORMS={asked}: JAX cannot compute there{why}; unset it, or install what that "
        "needs (just install --extra cuda, or tpu)"
    )


def _starts() -> bool:
    """Return whether JAX's backend starts."""
    import jax

    try:
        return bool(jax.devices())
    except (RuntimeError, AssertionError):  # the latter for a known platform without its plugin
        return False


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads() -> int:
    """Return how many threads XLA's CPU backend has, on which its sums' last bits depend."""
    given = os.environ.get(THREADS, "")
    return int(given) if given.isdigit() else cores()


def restart_with_huge_pages() -> None:
    """Start this very command again, once, with huge pages for large buffers; Linux only.

    XLA's CPU backend asks the system for its working memory anew in every step. By pages of 4 KiB
    that is a third of a small network's training step; by pages of 2 MiB it is next to nothing. The
    C library reads the setting only when a process starts, hence the restart: same process number,
    arguments, environment and open files. Does nothing where the user has set it, or the system
    gives huge pages to nobody or to everybody. To be called from a program's entry point alone.
    """
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if sys.platform != "linux" or _HUGE_PAGES in tunables or not _offered():
        return
    os.environ["GLIBC_TUNABLES"] = ":".join(filter(None, [tunables, f"{_HUGE_PAGES}=1"]))
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.suppress(OSError):  # an interpreter of another user: goes on without
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _is_set(flag: str, flags: str) -> bool:
    """Return whether `flags` sets the flag called like `flag`, to whatever value."""
    name = flag.partition("=")[0]
    return any(word.partition("=")[0] == name for word in flags.split())


def _accepted(flag: str) -> bool:
    """Return whether this jaxlib knows `flag`; one that does not would abort the process.

    Tried once for each version of jaxlib, in a process of its own, and kept beside the compiled
    programs. A trial that fails for another reason counts as unknown and is not kept.
    """
    file = paths.compilation() / f"flags-{importlib.metadata.version('jaxlib')}.json"
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        return json.loads(file.read_text())[flag] is True
    known = _tried(flag)
    if known is not None:
        with contextlib.suppress(OSError):  # no such home, or read-only: tried again next time
            files.write_atomic(file, json.dumps({flag: known}) + "\n")
    return known is True


def _tried(flag: str) -> bool | None:
    """Return whether a process starts with `flag`, None where that cannot be told."""
    try:
        trial = subprocess.run(
            [sys.executable, "-c", _PROBE],
            env={**os.environ, "XLA_FLAGS": flag},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if trial.returncode == 0:
        return True
    return False if flag.partition("=")[0] in trial.stderr else None  # XLA names what it refuses


def _runs_on_gpu() -> bool:
    """Return whether a CUDA or ROCm plugin of JAX is installed and not switched off."""
    if os.environ.get("JAX_PLATFORMS") == "cpu":
        return False
    plugins = importlib.util.find_spec("jax_plugins")
    folders = plugins.submodule_search_locations if plugins else None
    names = (module.name for module in pkgutil.iter_modules(folders or []))
    return any(name.startswith(("xla_cuda", "xla_rocm")) for name in names)


def _offered() -> bool:
    """Return whether the kernel gives huge pages to programs that ask for them."""
    try:
        return "[madvise]" in _KERNEL_SETTING.read_text()
    except OSError:
        return False


def drop_programs_of_many() -> None:
    """Drop JAX's compiled programs where this process has half of the memory mappings it may have.

    XLA's CPU backend maps some hundred pieces of memory for a program, and aborts the process where
    Linux allows no more, 65530 by default. Programs that are needed again come from the cache.
    """
    if not _MOST_MAPPINGS.exists():
        return
    with Path("/proc/self/maps").open() as mappings:
        count = sum(1 for _ in mappings)
    if count > int(_MOST_MAPPINGS.read_text()) // 2:
        import jax

        jax.clear_caches()
