"""Settings of XLA and of the process's memory that must be made before JAX starts.

Import-light on purpose: importing this module imports no JAX.
"""

import os
import sys
from pathlib import Path

from common import paths

# XLA 2026's own fusion of single convolutions is up to four times slower in their gradients than
# the Eigen kernels it replaces; the reductions and products of the same library stay.
_XLA_FLAGS = {"xla_cpu_experimental_ynn_fusion_type": "-individual_convolution"}
_HUGE_PAGES = "glibc.malloc.hugetlb"
_KERNEL_SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def configure() -> None:
    """Set XLA's flags and the persistent compilation cache; what the user has set stays.

    To be called before JAX is imported. Programs that took half a second or longer to compile are
    kept in `paths.compilation()`.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    missing = [f"--{name}={value}" for name, value in _XLA_FLAGS.items() if name not in flags]
    os.environ["XLA_FLAGS"] = " ".join(filter(None, [flags, *missing]))
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(paths.compilation()))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


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
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _offered() -> bool:
    """Return whether the kernel gives huge pages to programs that ask for them."""
    try:
        return "[madvise]" in _KERNEL_SETTING.read_text()
    except OSError:
        return False
