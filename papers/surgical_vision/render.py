"""Tables and figures of a results folder, from its metrics, manifest and images alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.results import tables
from common.results.figures import save
from common.results.folder import contents
from papers.surgical_vision import figures
from papers.surgical_vision.variants import MODELS

Seeds = dict[str, dict[str, Any]]
QUALITY = {
    "kid": "KID",
    "ssim": "SSIM",
    "psnr": "PSNR, dB",
    "lpips_alex": "LPIPS (AlexNet)",
    "lpips_vgg": "LPIPS (VGG16)",
    "inception_score": "Inception Score",
}
OPERATION = {
    "operation.share": "share of the operation",
    "operation.shares.eyes": "share, eyes alone",
    "operation.shares.nose": "share, nose alone",
    "operation.shares.chin": "share, chin alone",
    "operation.peak": "peak",
    "operation.move": "movement",
    "sharpness": "sharpness",
    "own": "own face",
    "concentration": "change in a tenth of pixels",
    "diversity": "LPIPS of samples",
}
COLORS = {f"color.{name}": f"ΔE, {name}" for name in ("hair", "lips", "skin", "background")}


def render(results: Path) -> None:
    """Write `tables/` and `figures/` of a results folder."""
    found = contents(results)
    seeds, samples, note = found.seeds, found.samples, found.note
    for name, table in make_tables(seeds, note).items():
        tables.write(table, results / "tables", name)
    drawn = {"learning_curves": figures.learning(seeds, note)}
    if figures.known(seeds, "operation.share"):
        drawn["quality_and_share"] = figures.tradeoff(seeds, note)
    if figures.known(seeds, "color.skin"):
        drawn["colors"] = figures.colors(seeds, note)
    if samples:
        drawn |= {
            "models": figures.sheet(samples, note),
            "domains": figures.domains(samples, note),
            "attention": figures.attention(samples, seeds, note),
            "latent_units": figures.latents(samples, note),
            "denoising": figures.denoising(samples, note),
        }
    for name, figure in drawn.items():
        save(figure, results / "figures" / f"{name}.png")


def make_tables(seeds: Seeds, note: str) -> dict[str, tables.Table]:
    """Return all models by quality, by what they did of the operation, and by colors if known."""
    first = next(iter(seeds.values()))["models"]["autoencoder"]
    fid = next(name for name in first if name.startswith("fid"))
    few = f"FID and KID of {first['n_features']} images a set: compare at this number only. "
    quality = {fid: fid.replace("fid", "FID-").replace("-_", ", "), **QUALITY}
    made = {
        "quality": _table(seeds, f"All models against the true faces after. {few}{note}", quality),
        "operation": _table(
            seeds, f"What the models did of the operation, and to whom. {note}", OPERATION
        ),
        "colors": _table(seeds, f"Change of color against the face before. {note}", COLORS),
        "inside": _inside(seeds, note),
    }
    return {name: table for name, table in made.items() if len(table.columns) > 1}


def _table(seeds: Seeds, head: str, measures: dict[str, str]) -> tables.Table:
    """Return a row for each model and for both references, of the measures that any has."""
    rows = {variant.title: f"models.{name}" for name, variant in MODELS.items()}
    rows |= {"(face before)": "references.unchanged", "(true face after)": "references.true_after"}
    cells = {
        row: [tables.over_seeds(seeds, f"{path}.{measure}") for measure in measures]
        for row, path in rows.items()
    }
    kept = [i for i in range(len(measures)) if any(line[i] is not None for line in cells.values())]
    names = list(measures.values())
    return tables.Table(
        head,
        ("model", *(names[i] for i in kept)),
        tuple((row, *(line[i] for i in kept)) for row, line in cells.items()),
    )


def _inside(seeds: Seeds, note: str) -> tables.Table:
    """Return what is measured inside of some models."""
    rows: list[tuple[tables.Cell, ...]] = []

    def add(name: str, what: str, path: str) -> None:
        if (cell := tables.over_seeds(seeds, f"models.{name}.{path}")) is not None:
            rows.append((MODELS[name].title, what, cell))

    for name, variant in MODELS.items():
        if variant.attention != "none":
            for network, gammas in next(iter(seeds.values()))["models"][name]["gamma"].items():
                for i in range(len(gammas)):
                    add(name, f"gamma, {network}, module {i + 1}", f"gamma.{network}.{i}")
        if variant.sampled:
            add(name, "active latent units", "latent.active")
            add(name, "share of active units", "latent.active_share")
        if variant.family == "diffusion":
            add(name, "RMS difference by prompt", "prompt.of_prompt")
            add(name, "RMS difference by face", "prompt.of_face")
        if variant.lora:
            add(name, "trained share, here", "trained_share")
            add(name, "trained share, published sizes", "trained_share_published")
    return tables.Table(f"Inside of the models. {note}", ("model", "what", "value"), tuple(rows))
