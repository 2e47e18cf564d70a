"""The table of `experiments.benchmarks.gpu`."""

from typing import Any

import numpy as np

LIMIT = 1e-4  # of the error in float32: kernels of a GPU sum in another order than the tests' CPU
NAMES = {
    "unet": "camcan: U-Net (256, 256, 512), 96x128",
    "attention_unet": "lgg: Attention U-Net 64–1024, 256x256",
    "denoiser": "ultrasound: Di-Conv-AE-Net, 256x256",
    "segmenter": "ultrasound: SegNet, 256x256",
    "pix2pix": "surgical: Pix2Pix, 128x128",
    "cyclegan": "surgical: CycleGAN, 128x128",
    "stargan": "surgical: StarGAN, 128x128",
    "starganv2": "surgical: StarGANv2, 128x128",
    "classifier": "rare disease: ResNet-18, 512x512",
}


def table(found: dict[str, Any]) -> str:
    """Return what was found as Markdown."""
    parts = (_about(found), _checks(found), _steps(found), _sampling(found), _long(found))
    lines = [line for part in parts if part for line in [*part, ""]]
    return "\n".join([*lines, *_rest(found)]).rstrip() + "\n"


def _about(found: dict[str, Any]) -> list[str]:
    ours, theirs, card = found["jax"], found["torch"], found["ceilings"]
    other = theirs.get("version", "without PyTorch")
    return [
        "# One GPU: values, steps and the card's ceilings",
        "",
        *(["**Tiny networks, to try the program: these figures mean nothing.**", ""]
          * found["tiny"]),
        f"JAX {ours['jax']} on {ours['device']}; {other}. `{ours['xla_flags']}`. Products: "
        f"{_number(card['bfloat16'] / 1e12)} TFLOP/s in bfloat16, "
        f"{_number(card['float32'] / 1e12)} in float32; memory: "
        f"{_number(card['bandwidth'] / 1e12)} TB/s. In {found['seconds']} s of "
        f"{60 * found['minutes']:.0f}.",
    ]  # fmt: skip


def _checks(found: dict[str, Any]) -> list[str]:
    if not found["checks"]:
        return []
    agreed = [c for c in found["checks"].values() if c["float32"] < LIMIT and c["same_bits"]]
    return [
        "## Values",
        "",
        f"{len(agreed)} of {len(found['checks'])} networks are within {LIMIT:.0e} of their golden "
        "values in float32, and give the same bits twice. Differences are the largest, as a share "
        "of the values' range.",
        "",
        "| network | float32 off by | same bits twice | bfloat16 off float32 by |",
        "|---|---|---|---|",
        *(
            f"| {name} | {c['float32']:.0e} | {_word(c['same_bits'])} | {c['bfloat16']:.0e} |"
            for name, c in found["checks"].items()
        ),
    ]


def _steps(found: dict[str, Any]) -> list[str]:
    if not found["rows"]:
        return []
    lines = [
        "## Training steps",
        "",
        f"Medians of {found['rounds']} rounds in turn. A ratio below 1 means that JAX is faster. "
        "Shares: XLA's count of a step's operations by its seconds and the rate of products of "
        "that dtype; its count of the bytes that the compiled step reads and writes, by the rate "
        "of copies. PyTorch computes bfloat16 by autocast, by kernels that need not give the same "
        "bits twice; ours are XLA's deterministic ones.",
        "",
        "| network | dtype | batch | JAX, ms | images/s | eager, ms | ratio | compiled, ms | ratio "
        "| products | bandwidth | first loss differs by |",
        "|---" * 12 + "|",
    ]
    for name, row in found["rows"].items():
        network, dtype = name.split()
        cells = [NAMES[network], dtype, str(row["images"])]
        median = {mode: float(np.median(s)) for mode, s in row["seconds"].items()}
        ours = median.get("jax")
        cells += [_number(ours and 1e3 * ours), _number(ours and row["images"] / ours)]
        for mode in ("eager", "compiled"):
            theirs = median.get(mode)
            cells += [_number(theirs and 1e3 * theirs), _number(row["ratios"].get(mode))]
        cells += [_percent(row.get(f"share_of_{what}")) for what in ("products", "bandwidth")]
        differs = row.get("loss_differs_by")
        cells.append("" if differs is None else f"{differs:.0e}")
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "Between its steps ours exchanges nothing with the host. Queued is the share of a round "
        "after which the host had given all steps to the device.",
        "",
        "| network | dtype | same bits twice | programs compiled between steps | queued "
        "| compiling, s | torch.compile, s |",
        "|---" * 7 + "|",
    ]
    for name, row in found["rows"].items():
        if "same_bits" in row:
            network, dtype = name.split()
            compiling = row["compile_seconds"], row.get("torch_compile_seconds")
            lines.append(
                f"| {NAMES[network]} | {dtype} | {_word(row['same_bits'])} "
                f"| {row['compiled_between_steps']} | {_percent(row['queued_share'])} "
                f"| {' | '.join(map(_number, compiling))} |"
            )
    return lines


def _sampling(found: dict[str, Any]) -> list[str]:
    result = found["sampling"].get("latent_diffusion_gpu")
    if not result:
        return []
    lines = [
        f"## Stable Diffusion 1.5 with ControlNet, {result['side']}x{result['side']}, bfloat16",
        "",
        f"{result['steps']} UniPC steps with guidance (draw), one evaluation of both networks "
        f"(evaluate), decoding; random weights. Against {result['torch']}.",
        "",
        "| what | batch | JAX, s | diffusers, s | ratio |",
        "|---|---|---|---|---|",
    ]
    for row, one in result["rows"].items():
        what, batch = row.split()
        theirs = one["seconds"].get("torch")
        lines.append(
            f"| {what} | {batch} | {_number(float(np.median(one['seconds']['jax'])))} "
            f"| {_number(theirs and float(np.median(theirs)))} | {_number(one.get('ratio'))} |"
        )
    return lines


def _long(found: dict[str, Any]) -> list[str]:
    run = (found["long"] or {}).get("camcan")
    if not run:
        return []
    step, host = (1e3 * run[f"{name}_seconds"] for name in ("step", "host"))
    return [
        "## camcan's training for the rest of the time",
        "",
        f"The study's own step on new batches of {run['images']}, {run['dtype']}: {run['steps']} "
        f"steps, {1e3 / step:.3g} steps/s, of {step:.3g} ms each, of which the host takes "
        f"{host:.3g} ms to give them to the device; {run['compiled']} programs "
        f"compiled on the way. Loss {run['first_loss']:.3g} → {run['last_loss']:.3g}.",
    ]


def _rest(found: dict[str, Any]) -> list[str]:
    failed = dict(found["failed"])
    if "missing" in found["torch"]:
        failed["PyTorch"] = found["torch"]["missing"]
    for name, row in found["rows"].items():
        failed |= {f"{name}, {mode}": reason for mode, reason in row["failed"].items()}
    lines = []
    if failed:
        lines += ["## Failed", "", *(f"- {name}: {reason}" for name, reason in failed.items()), ""]
    if found["left_out"]:
        lines += ["## Left out for time", "", *(f"- {name}" for name in found["left_out"]), ""]
    return lines


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"


def _word(value: bool) -> str:
    return "yes" if value else "**no**"
