"""The user's own ultrasound, denoised and segmented: images and DICOM files of any size.

The segmenter is the one that was trained on images as they are, and is shown these: the source
found that it does better so than on denoised ones. Denoised images are for the eye.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num, UInt8
from matplotlib.colors import to_rgb
from scipy.ndimage import binary_erosion
from tqdm import tqdm

from common import outputs, terminal
from common.data.images import paste, resize_8_bits
from common.data.raw import BadFile, refusal
from common.data.user_files import TIFF, Rows, check_output, encoded, pages, shown
from common.metrics.biometry import head_circumference
from common.nn.predictor import Predictor, in_batches
from common.pipeline.trained import Trained, find_seeds
from common.results.figures import png, spread_out
from papers.ultrasound_diconvae import figures
from papers.ultrasound_diconvae.clips import KINDS, Clip, Frames, read
from papers.ultrasound_diconvae.config import Config, DataConfig
from papers.ultrasound_diconvae.data import classes_of
from papers.ultrasound_diconvae.image import CLASSES
from papers.ultrasound_diconvae.inputs import denoise, in_8_bits, make_inputs
from papers.ultrasound_diconvae.models.segnet import SegNet
from papers.ultrasound_diconvae.options import Options
from papers.ultrasound_diconvae.pixel_sizes import PixelSizes
from papers.ultrasound_diconvae.train import load_network

SHOWN = 12  # frames of a clip, at most
SEGMENTER = "segmenter_raw"


def predict(
    checkpoint: Path,
    source: Path,
    out: Path,
    skip_bad: bool = False,
    options: Options = Options(),  # noqa: B008  # frozen
) -> list[dict[str, Any]]:
    """Write `<name>_denoised`, `_mask` and `_overlay.png` of every file; return a row for each.

    Masks hold the labels of the data that the networks learnt from (0: background); of several
    seeds the means of images and probabilities count. With `options.probabilities` there is a
    `_<class>_probability.tif` of every other class too. A row holds `file`, `frames`; of every
    class `<class>_pixels` and, where a pixel's size is known, `<class>_mm2`, else None; `head_mm`,
    the circumference of all that is no background, and `written`. Numbers are medians over the
    frames that show what is measured. Each file's outputs are written when all of them are
    computed. Raises `InputError` for what cannot be used or would be overwritten.
    """
    trained = find_seeds(checkpoint, "ultrasound_diconvae", Config())
    sizes = PixelSizes(options.pixel_mm)
    checked = KINDS.checked(source, lambda file: _look(file, sizes), skip_bad)
    counts = {file: count for file, (count, _) in checked.files}
    pixels = {file: pixel for file, (_, pixel) in checked.files}
    config: Config = trained[0].config
    names = classes_of(config.data.dataset)[1:] if options.probabilities else ()
    targets = {file: _targets(file, count, source, out, names) for file, count in counts.items()}
    check_output(source, out, [target for each in targets.values() for target in each])
    terminal.note(f"networks: {', '.join(str(one.source) for one in trained)}")
    if unknown := sum(pixel is None for pixel in pixels.values()):
        terminal.note(f"{unknown} files without a pixel's size: no mm of them; see --pixel-mm")
    batch = min(config.evaluate.batch_size, max(counts.values()))  # of frames
    predictor = load_predictor(trained, batch, options.threshold, options.probabilities)
    rows = []
    for file in tqdm(counts, "segmenting", unit="file", delay=2, disable=None):
        try:
            clip = replace(read(file), mm=pixels[file])
        except BadFile as reason:  # good when it was checked
            raise refusal(f"--input {source}", [f"{file.name}: {reason}"]) from None
        seen = predictor(clip)
        overlay = _overlay(clip, seen.labels, predictor.classes, file.name)
        shown_as = [_content(frames, targets[file][0]) for frames in (seen.denoised, seen.labels)]
        maps = () if seen.chances is None else np.moveaxis(seen.chances, -1, 0)[1:]
        contents = (*shown_as, overlay, *map(pages, maps))
        outputs.write(dict(zip(targets[file], contents, strict=True)))
        measured = measures(clip, seen.labels, predictor.classes)
        written = [str(target) for target in targets[file]]
        rows.append({"file": shown(file, source), **measured, "written": written})
    return Rows(rows, checked.account)


class Segmented(NamedTuple):
    """What the networks make of a clip."""

    denoised: Frames
    labels: Frames
    chances: Float[np.ndarray, "frames height width classes"] | None  # where they were asked for


class ClipPredictor:
    """Trained denoisers and segmenters, a pair of each seed, as a function of clips of any size.

    What shows tissue is brought to the networks' size as the study's images are, by means over
    areas. Denoised images and the classes' probabilities, each the mean over the seeds, go back
    bilinearly. A pixel's class is the one that is most probable there; with a `threshold`, the most
    probable one but background where all these together reach it. What is around the tissue
    stays, and is background.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[Any, Any]],
        data: DataConfig,
        batch_size: int,
        threshold: float | None = None,
        keep: bool = False,  # the probabilities
    ):
        self.classes = classes_of(data.dataset)
        self._data, self._size, self._threshold, self._keep = data, batch_size, threshold, keep
        self._denoisers = [Predictor(one, denoise, batch_size) for one, _ in pairs]
        self._segmenters = [Predictor(one, probabilities, batch_size) for _, one in pairs]

    def __call__(self, clip: Clip) -> Segmented:
        """Return the denoised frames, the labels of all of their pixels, and probabilities."""
        rows, columns = clip.tissue
        tissue = clip.frames[:, rows, columns]
        denoised = clip.frames.copy()
        denoised[:, rows, columns] = in_batches(self._denoised, tissue, self._size)
        found = in_batches(self._segmented, tissue, self._size)
        labels, *chances = (paste(maps, clip.tissue, *clip.frames.shape[1:]) for maps in found)
        return Segmented(denoised, labels, chances[0] if chances else None)

    def _denoised(self, frames: Frames) -> Frames:
        inputs = self._to_networks(frames)
        made = [make_inputs("denoised", inputs, one) / np.float32(255) for one in self._denoisers]
        return in_8_bits(np.asarray(_at_size(np.mean(made, 0), *frames.shape[1:])))[..., 0]

    def _segmented(self, frames: Frames) -> tuple[np.ndarray, ...]:
        """Return the labels, and where they are kept the probabilities."""
        inputs = self._to_networks(frames)
        mean = np.mean([one(inputs) for one in self._segmenters], 0)
        chances = _at_size(mean, *frames.shape[1:])
        labels = chances.argmax(-1)
        if self._threshold is not None:
            found = 1 - chances[..., 0] >= self._threshold
            labels = jnp.where(found, 1 + chances[..., 1:].argmax(-1), 0)
        labels = np.asarray(labels).astype(np.uint8)
        return (labels, np.asarray(chances)) if self._keep else (labels,)

    def _to_networks(self, frames: Frames) -> UInt8[np.ndarray, "frames rows columns 1"]:
        """Return the frames at the networks' size."""
        return resize_8_bits(frames[..., None], self._data.height, self._data.width)


def load_predictor(
    trained: Sequence[Trained],
    batch_size: int,
    threshold: float | None = None,
    keep: bool = False,
) -> ClipPredictor:
    """Return the trained networks of one seed or more as a function of clips."""
    config: Config = trained[0].config
    pairs = [
        (load_network(one.folder("denoiser"), "denoiser", one.config),
         load_network(one.folder(SEGMENTER), SEGMENTER, one.config))
        for one in trained
    ]  # fmt: skip
    return ClipPredictor(pairs, config.data, batch_size, threshold, keep)


def probabilities(
    network: SegNet, images: UInt8[Array, "batch height width 1"]
) -> Float[Array, "batch height width classes"]:
    """Return the probability of every class in every pixel."""
    return jax.nn.softmax(network(images.astype(jnp.float32) / 255))


@partial(jax.jit, static_argnums=(1, 2))
def _at_size(
    images: Float[Array | np.ndarray, "frames rows columns channels"], height: int, width: int
) -> Float[Array, "frames {height} {width} channels"]:
    """Return the images at another size, bilinear; over more pixels where they become smaller."""
    return jax.image.resize(images, (len(images), height, width, images.shape[-1]), "linear")


def measures(clip: Clip, labels: Frames, classes: tuple[str, ...]) -> dict[str, Any]:
    """Return a row's numbers; see `predict`."""
    pixels = {
        name: _median((labels == label).sum((1, 2))) or 0.0
        for label, name in enumerate(classes)
        if label
    }
    area = clip.mm and clip.mm[0] * clip.mm[1]
    heads = [head_circumference(one > 0, clip.mm) for one in labels] if clip.mm else []
    return {
        "frames": len(labels),
        **{f"{name}_pixels": round(count) for name, count in pixels.items()},
        **{f"{name}_mm2": area and count * area for name, count in pixels.items()},
        "head_mm": _median(np.array(heads)),
    }


def _median(values: Num[np.ndarray, " frames"]) -> float | None:
    """Return the median of the numbers above 0, None where there is none."""
    kept = values[values > 0]
    return float(np.median(kept)) if len(kept) else None


def _overlay(clip: Clip, labels: Frames, classes: tuple[str, ...], name: str) -> bytes:
    """Return a PNG: the frame with outlines in the classes' colors, of a clip a sheet of some."""
    if len(labels) == 1:
        return encoded(_outlined(clip.frames[0], labels[0]))
    marked = np.array([one.any() for one in labels])
    chosen = spread_out(marked, SHOWN)
    note = f"{name}: something predicted in {marked.sum()} of {len(marked)} frames"
    titles = [f"frame {i + 1}" for i in chosen]
    ratio = clip.mm[0] / clip.mm[1] if clip.mm else 1.0
    return png(figures.sheet(clip.frames[chosen], labels[chosen], titles, classes, note, ratio))


def _outlined(
    frame: UInt8[np.ndarray, "height width"], labels: UInt8[np.ndarray, "height width"]
) -> UInt8[np.ndarray, "height width 3"]:
    image = np.repeat(frame[..., None], 3, -1)
    for name, (_, color) in figures.OUTLINES.items():
        mask = labels == CLASSES.index(name)
        image[mask & ~binary_erosion(mask)] = np.rint(255 * np.array(to_rgb(color)))
    return image


def _content(frames: Frames, target: Path) -> bytes:
    return encoded(frames[0], target.suffix) if len(frames) == 1 else pages(frames)


def _look(file: Path, sizes: PixelSizes) -> tuple[int, tuple[float, float] | None]:
    """Return how many frames a file has, and how large their pixels are, in mm."""
    clip, side = read(file), sizes.of(file)
    return len(clip.frames), clip.mm or (None if side is None else (side, side))


def _targets(
    file: Path, frames: int, source: Path, out: Path, classes: Sequence[str]
) -> tuple[Path, ...]:
    """Return where all goes that is made of a file: a clip's frames as pages of a TIFF."""
    own = KINDS.suffix(file)
    end = ".tif" if frames > 1 else own if own.lower() in (".png", *TIFF) else ".png"
    ends = (f"_denoised{end}", f"_mask{end}", "_overlay.png",
            *(f"_{name}_probability.tif" for name in classes))  # fmt: skip
    return tuple(KINDS.output(file, source, out, one) for one in ends)
