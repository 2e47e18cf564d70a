"""The networks that `experiments.benchmarks.gpu` trains, and what both sides are given of each.

Imported after `xla.configure()`. Sizes, settings and inputs are those of the benchmarks on a CPU.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from experiments.benchmarks import (
    attention_unet,
    surgical_nets_rows,
    ultrasound_nets,
    unet_step,
)
from papers.camcan_cfg import config as camcan
from papers.lgg_attention_unet import config as lgg
from papers.rare_disease_controlnet.config import ClassifierConfig
from papers.ultrasound_diconvae import config as ultrasound

CLASSES = 4


def write_inputs(row: str, tiny: bool, folder: Path) -> int:
    """Leave in the folder what both sides need of a row; return the images of a step."""
    if row in surgical_nets_rows.ROWS:
        return _surgical(row, tiny, folder)
    return _WRITERS[row](row, tiny, folder)


def _written(folder: Path, setting: dict, inputs: dict[str, np.ndarray], batch: int) -> int:
    (folder / "setting.json").write_text(json.dumps(setting))
    np.savez(folder / "inputs.npz", **inputs)
    return batch


def _unet(row: str, tiny: bool, folder: Path) -> int:
    size = unet_step.Size((16, 32), 8, (8, 8), 2)
    if not tiny:
        model, batch = camcan.ModelConfig(), camcan.TrainConfig().batch_size
        size = unet_step.Size(model.channels, model.groups, (96, 128), batch)
    setting = {"model": asdict(size.model), "rate": unet_step.RATE}
    return _written(folder, setting, unet_step.draw_inputs(size), size.batch)


def _attention_unet(row: str, tiny: bool, folder: Path) -> int:
    size = attention_unet.Size((4, 8, 12), 16, 2, 1)
    if not tiny:
        filters, batch = lgg.ModelConfig().filters, lgg.TrainConfig().batch_size
        size = attention_unet.Size(filters, 256, batch, 1)
    setting = {"filters": size.filters, "rate": attention_unet.RATE}
    setting |= {"smooth": attention_unet.SMOOTH}
    return _written(folder, setting, attention_unet.draw_inputs(size), size.batch)


def _ultrasound(row: str, tiny: bool, folder: Path) -> int:
    size = ultrasound_nets.SIZES[0]
    if not tiny:
        options, published = ultrasound.TrainConfig(), ultrasound_nets.SIZES[-1]
        of_row = {"denoiser": options.batch_size, "segmenter": options.segmenter_batch_size}
        size = ultrasound_nets.Size(
            published.denoiser, published.segmenter, published.side, of_row[row], 1
        )
    ultrasound_nets.write_inputs(size, folder)
    return size.batch


def _classifier(row: str, tiny: bool, folder: Path) -> int:
    config = ClassifierConfig()
    side, batch = (64, 2) if tiny else (512, config.batch_size)
    random = np.random.default_rng(0)
    inputs = {
        "images": random.random((batch, side, side, 1), np.float32),
        "labels": random.integers(0, CLASSES, batch).astype(np.int32),
    }
    setting = {"rate": config.learning_rate, "decay": config.weight_decay, "classes": CLASSES}
    return _written(folder, setting, inputs, batch)


def _surgical(row: str, tiny: bool, folder: Path) -> int:
    config = surgical_nets_rows.config_of(tiny)
    setting = {"size": config.data.size, "tiny": tiny, "options": asdict(getattr(config, row))}
    inputs = surgical_nets_rows.inputs_of(row, config)
    return _written(folder, setting, inputs, surgical_nets_rows.BATCH)


_WRITERS: dict[str, Callable[[str, bool, Path], int]] = {
    "unet": _unet,
    "attention_unet": _attention_unet,
    "denoiser": _ultrasound,
    "segmenter": _ultrasound,
    "classifier": _classifier,
}
