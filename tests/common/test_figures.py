"""Figures: texts are drawn as they are written, and the user's matplotlib changes nothing."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from common.results import figures

ROOT = Path(__file__).parents[2]
DRAW = """
import sys
from common.pipeline.process import prepare_process
prepare_process()
from common.results import figures
figure, axes = figures.image_axes(1, 1.0)
axes[0].plot([1, 2], [1.5, 1000.25])
axes[0].set(yscale="log", title="T1$_$")
figures.title(figure, "a title")
sys.stdout.buffer.write(figures.png(figure))
"""
RC = "font.size: 30\nlines.linewidth: 9\naxes.facecolor: red\n"


@pytest.mark.parametrize(
    "name", ["T1$_$", r"$\frac$", "100%", r"\alpha $x", "$$", "a\udcfcb", "a\x07b"]
)
def test_names_are_drawn_as_they_are_written(name: str) -> None:
    drawn = []
    for text in (name, "x"):
        figure, axes = figures.image_axes(1, 1.0)
        figures.title(figure, text)
        axes[0].set(title=text, xlabel=text)
        axes[0].set_xticks([0], [text])
        axes[0].text(0, 0, text)
        axes[0].plot([0], [0], label=text)
        axes[0].legend()
        drawn.append(figures.png(figure))
    assert drawn[0] != drawn[1]


def test_powers_beside_logarithms_are_drawn_as_powers() -> None:
    figure, axis = plt.subplots()
    axis.set(yscale="log", ylim=(1, 1e4), title="$")
    figures.png(figure)
    tick = axis.yaxis.get_major_ticks()[-1].label1
    assert tick.get_text().startswith(r"$\mathdefault{10^")
    assert tick.get_parse_math()


def test_what_the_user_sets_for_matplotlib_changes_no_figure(tmp_path: Path) -> None:
    def drawn(**environment: str) -> bytes:
        home = {"REPLICATIONS_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
        where = {**os.environ, **home, **environment}
        words = [sys.executable, "-c", DRAW]
        done = subprocess.run(words, env=where, cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    plain = drawn()
    assert plain.startswith(b"\x89PNG")
    (tmp_path / "matplotlibrc").write_text(RC)
    notebook = "module://matplotlib_inline.backend_inline"
    assert drawn(MPLBACKEND=notebook, MPLCONFIGDIR="/dev/null/none", LANG="C") == plain
    (tmp_path / "matplotlibrc").write_text("")
    rc = tmp_path / "my settings"
    rc.write_text(f"{RC}axes.formatter.use_locale: True\n")
    assert drawn(MATPLOTLIBRC=str(rc), LC_ALL="de_DE.UTF-8", TZ="Asia/Tokyo") == plain
