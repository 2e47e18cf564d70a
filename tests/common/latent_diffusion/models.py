"""Models as files of every layout, made by hand; and how tests hold two models equal."""

import json
import zipfile

import numpy as np
from flax import nnx
from safetensors.numpy import load_file, save_file

from tests.common.latent_diffusion.golden import GOLDEN, weights

WEIGHTS = {
    "unet": "unet/diffusion_pytorch_model.safetensors",
    "vae": "vae/diffusion_pytorch_model.safetensors",
    "text": "text_encoder/model.safetensors",
    "controlnet": "controlnet/diffusion_pytorch_model.safetensors",
}
PREFIXES = {
    "unet": "model.diffusion_model.",
    "vae": "first_stage_model.",
    "text": "cond_stage_model.transformer.text_model.",
    "controlnet": "control_model.",
}


def write_folder(root):
    """Write the folder that diffusers saved, its weights drawn again."""
    for key in (key for key in GOLDEN if key.startswith("file/")):
        file = root / key.removeprefix("file/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(GOLDEN[key]))
    for part in WEIGHTS:
        save_file(weights(part), root / WEIGHTS[part])
    return root


def edges():
    marked = np.random.RandomState(8).random_sample((64, 64)) > 0.9
    return np.repeat(marked[..., None], 3, axis=2).astype(np.float32)


def rewritten(path, change, to=None):
    """Write tensors changed into a file in place of another; the file was shared."""
    tensors = change(load_file(path))
    path.unlink()
    save_file(tensors, to or path)


def edited(path, **fields):
    """Change fields of a JSON file, which was shared."""
    content = json.loads(path.read_text()) | fields
    path.unlink()
    path.write_text(json.dumps({name: v for name, v in content.items() if v is not ...}))


def parts(pipeline):
    return {part: getattr(pipeline, part) for part in WEIGHTS if getattr(pipeline, part)}


def parameters(pipeline):
    return {
        (part, *path): variable[...]
        for part, network in parts(pipeline).items()
        for path, variable in nnx.to_flat_state(nnx.state(network))
    }


def drawn(pipeline):
    return pipeline(
        "Chest X-ray", [5], steps=2, sampler="ddim", batch_size=1, hint=edges(), negative="film"
    )


def assert_same(pipeline, expected):
    """Hold two models equal, weights to the bit, and the images that they draw."""
    assert pipeline.config == expected.config
    assert pipeline.tokenizer("Chest X-ray").tolist() == expected.tokenizer("Chest X-ray").tolist()
    ours, theirs = parameters(pipeline), parameters(expected)
    assert ours.keys() == theirs.keys()
    for path, array in theirs.items():
        assert ours[path].dtype == array.dtype
        np.testing.assert_array_equal(ours[path], array, err_msg=str(path))
    np.testing.assert_array_equal(drawn(pipeline), drawn(expected))


def without_prefix(tensors):
    return {name.removeprefix("text_model."): array for name, array in tensors.items()}


def pickle_of(tensors, path):
    """Write a checkpoint as PyTorch does, which is not at hand here."""
    kinds = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}
    pickled, members = "(d", {}
    for i, (name, array) in enumerate(tensors.items()):
        array = np.ascontiguousarray(array)
        strides = [stride // array.itemsize for stride in array.strides]
        sizes = ["".join(f"I{n}\n" for n in numbers) for numbers in (array.shape, strides)]
        pickled += (
            f"S'{name}'\nctorch._utils\n_rebuild_tensor_v2\n("
            f"(S'storage'\nctorch\n{kinds[array.dtype.name]}\nS'{i}'\nS'cpu'\nI{array.size}\ntQ"
            f"I0\n({sizes[0]}t({sizes[1]}tI00\nNtRs"
        )
        members[f"archive/data/{i}"] = array.tobytes()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled + ".")
        archive.writestr("archive/byteorder", b"little")
        for member, content in members.items():
            archive.writestr(member, content)


def single(folder, which=tuple(WEIGHTS), more=()):
    """Return the tensors of a single file made from a folder, by the names that diffusers reads."""
    tensors = {}
    for part in which:
        arrays = load_file(folder / WEIGHTS[part])
        if part == "text":
            names = {name: name.removeprefix("text_model.") for name in arrays}
            names = {name: PREFIXES["text"] + bare for name, bare in names.items()}
        else:
            names = json.loads(str(GOLDEN[f"single/{part}"]))
        for name, array in arrays.items():
            linear = "attn_1" in names[name] and array.ndim == 2
            tensors[names[name]] = array[:, :, None, None] if linear else array
    return tensors | dict(more)


# what the large published files hold besides
TABLES = {
    "betas": np.zeros(1000, np.float32),
    "alphas_cumprod": np.zeros(1000, np.float32),
    "sqrt_one_minus_alphas_cumprod": np.zeros(1000, np.float32),
    "posterior_mean_coef1": np.zeros(1000, np.float32),
    "model_ema.decay": np.zeros((), np.float32),
    "model_ema.num_updates": np.zeros((), np.int64),
    "model_ema.diffusion_modelinput_blocks00weight": np.zeros((2, 2), np.float32),
    "cond_stage_model.transformer.text_model.embeddings.position_ids": np.arange(77)[None],
}
