"""Writes latent_diffusion.npz: what diffusers computes with seeded weights, and what it calls them.

pip install torch==2.13.0 diffusers==0.42.1 transformers==5.24.0 peft==0.21.2 safetensors==0.8.0 \
    jax==0.10.2 flax==0.12.8 jaxtyping scipy ftfy pillow accelerate
HF_HUB_OFFLINE=1 PYTHONPATH=. python tests/golden/make_latent_diffusion.py VOCABULARY

VOCABULARY is CLIP's bpe_simple_vocab_16e6.txt.gz. The networks have Stable Diffusion 1.5's topology
and small widths; whole pipelines run in float64.
"""

import copy
import gzip
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DDIMScheduler,
    PNDMScheduler,
    StableDiffusionControlNetPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
    UniPCMultistepScheduler,
)
from diffusers.loaders import single_file_utils
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from PIL import Image
from seeded_weights import seeded_weights
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

MERGES = 300
SIZES = {
    "block_out_channels": (32, 64, 96, 96),
    "layers_per_block": 2,
    "cross_attention_dim": 32,
    "attention_head_dim": 8,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
}
UP = ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3
SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
    "clip_sample": False,
}
PROMPT, NEGATIVE = "Chest X-ray showing pneumothorax", "blurry"
SEEDS = {"unet": 1, "controlnet": 2, "vae": 3, "text_encoder": 4, "lora": 5}


def seeded(module: torch.nn.Module, seed: int) -> torch.nn.Module:
    shapes = {name: tuple(p.shape) for name, p in module.named_parameters()}
    weights = seeded_weights(shapes, seed)
    module.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()}, strict=False)
    return module.eval()


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape).astype(np.float32))


def tokenizer(vocabulary: str, folder: Path) -> CLIPTokenizer:
    """Return CLIP's tokenizer with the first merges alone."""
    lines = gzip.decompress(Path(vocabulary).read_bytes()).decode().split("\n")
    merges = lines[1 : MERGES + 1]
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in visible]
    letters = [chr(byte) for byte in visible] + [chr(256 + i) for i in range(len(hidden))]
    tokens = [*letters, *(f"{c}</w>" for c in letters), *("".join(m.split()) for m in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    return CLIPTokenizer.from_pretrained(
        folder, model_max_length=77, pad_token="<|endoftext|>", local_files_only=True
    )


def networks(vocabulary_size: int) -> dict[str, torch.nn.Module]:
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32, 32, 64, 64),
        layers_per_block=2,
        latent_channels=4,
        sample_size=64,
        scaling_factor=0.18215,
    )
    text = CLIPTextConfig(
        vocab_size=vocabulary_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=77,
        hidden_act="quick_gelu",
        bos_token_id=vocabulary_size - 2,
        eos_token_id=vocabulary_size - 1,
    )
    made = {
        "unet": UNet2DConditionModel(
            sample_size=8, in_channels=4, out_channels=4, up_block_types=UP, **SIZES
        ),
        "controlnet": ControlNetModel(in_channels=4, **SIZES),
        "vae": vae,
        "text_encoder": CLIPTextModel(text),
    }
    return {name: seeded(module, SEEDS[name]) for name, module in made.items()}


def thinned(output: torch.Tensor, count: int = 256) -> np.ndarray:
    """Return at most so many values, spread evenly, of a map in NHWC or of tokens."""
    if output.ndim == 4:
        output = output.permute(0, 2, 3, 1)
    flat = output.detach().double().numpy().ravel()
    return flat[:: max(1, flat.size // count)].astype(np.float32)


def blocks(golden: dict, part: str, network: torch.nn.Module) -> None:
    """Record every residual block, transformer and resampling for an input of its own."""
    kinds = {"ResnetBlock2D", "Transformer2DModel", "Downsample2D", "Upsample2D", "Attention"}
    found = [(n, m) for n, m in network.named_modules() if type(m).__name__ in kinds]
    for seed, (name, module) in enumerate(found):
        kind = type(module).__name__
        if kind == "Attention" and part != "vae":
            continue
        if kind == "ResnetBlock2D":
            x = draw(seed, 2, module.in_channels, 4, 4)
            time = None if part == "vae" else draw(1000, 2, 128)
            y = module(x, time)
        elif kind == "Transformer2DModel":
            y = module(draw(seed, 2, module.in_channels, 4, 4), draw(1001, 2, 7, 32)).sample
        else:
            channels = module.to_q.in_features if kind == "Attention" else module.channels
            y = module(draw(seed, 2, channels, 4, 4))
        golden[f"block/{part}/{name}"] = thinned(y)
        golden[f"block_seed/{part}/{name}"] = np.array(seed)


def parts(golden: dict, nets: dict) -> None:
    x, t, context = draw(1, 2, 4, 8, 8), torch.tensor([3, 977]), draw(2, 2, 77, 32)
    hint = torch.from_numpy(np.random.RandomState(3).random_sample((2, 3, 64, 64))).float()
    golden["unet"] = nets["unet"](x, t, context).sample.permute(0, 2, 3, 1).numpy()
    for name, scale, guess in (("0", 0.0, 0), ("0.8", 0.8, 0), ("1", 1.0, 0), ("guess", 0.8, 1)):
        down, middle = nets["controlnet"](
            x, t, context, hint, scale, guess_mode=bool(guess), return_dict=False
        )
        for i, residual in enumerate([*down, middle]):
            golden[f"residual/{name}/{i}"] = thinned(residual, 64)
        controlled = nets["unet"](
            x,
            t,
            context,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        ).sample
        golden[f"controlled/{name}"] = controlled.permute(0, 2, 3, 1).numpy()
    images = torch.from_numpy(np.random.RandomState(4).uniform(-1, 1, (2, 3, 64, 64))).float()
    distribution = nets["vae"].encode(images).latent_dist
    golden["vae_mean"] = distribution.mean.permute(0, 2, 3, 1).numpy()
    golden["vae_log_variance"] = distribution.logvar.permute(0, 2, 3, 1).numpy()
    golden["vae_kl"] = distribution.kl().numpy()
    golden["vae_decoded"] = thinned(nets["vae"].decode(draw(5, 2, 4, 8, 8) / 0.18215).sample, 2048)
    ids = np.random.RandomState(6).randint(0, 800, (2, 77))
    golden["text"] = nets["text_encoder"](torch.from_numpy(ids)).last_hidden_state.numpy()


def lora(golden: dict, unet: UNet2DConditionModel, folder: Path) -> None:
    """Record a U-Net with an adaptation of rank 4 and alpha 32, and the names in its file."""
    targets = ["to_k", "to_q", "to_v", "to_out.0"]
    unet.add_adapter(
        LoraConfig(r=4, lora_alpha=32, init_lora_weights="gaussian", target_modules=targets)
    )
    state = get_peft_model_state_dict(unet)
    weights = seeded_weights({name: tuple(v.shape) for name, v in state.items()}, SEEDS["lora"])
    for name, module in unet.named_modules():
        for which in ("lora_A", "lora_B"):
            if f"{name}.{which}.weight" in weights:
                matrix = 0.1 * torch.from_numpy(weights[f"{name}.{which}.weight"])
                getattr(module, which)["default"].weight.data = matrix
    x, t, context = draw(1, 2, 4, 8, 8), torch.tensor([3, 977]), draw(2, 2, 77, 32)
    golden["lora"] = unet(x, t, context).sample.permute(0, 2, 3, 1).numpy()
    StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=state)
    shapes = {name: list(value.shape) for name, value in state.items()}
    golden["lora_shapes"] = np.array(json.dumps(shapes))


def pipelines(golden: dict, nets: dict, tok: CLIPTokenizer, folder: Path) -> None:
    (folder / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
    pndm = PNDMScheduler.from_pretrained(folder)
    shared = {
        "vae": nets["vae"],
        "text_encoder": nets["text_encoder"],
        "tokenizer": tok,
        "unet": nets["unet"],
        "scheduler": pndm,
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }
    control = StableDiffusionControlNetPipeline(controlnet=nets["controlnet"], **shared)
    control.save_pretrained(folder / "saved")
    for file in sorted((folder / "saved").rglob("*.json")):
        name = file.relative_to(folder / "saved").as_posix()
        golden[f"file/{name}"] = np.array(file.read_text())
    for part in nets:
        shapes = {name: list(value.shape) for name, value in nets[part].state_dict().items()}
        golden[f"shapes/{part}"] = np.array(json.dumps(shapes))
    noise = draw(7, 1, 4, 8, 8).double()
    edges = (np.random.RandomState(8).random_sample((64, 64)) > 0.9).astype(np.uint8) * 255
    options = {
        "negative_prompt": NEGATIVE,
        "num_inference_steps": 10,
        "output_type": "np",
    }
    solvers = {
        "unipc": UniPCMultistepScheduler.from_config(pndm.config),
        "pndm": pndm,
        "ddim": DDIMScheduler.from_config(pndm.config),
    }
    runs = {
        "unipc": ("unipc", StableDiffusionPipeline, {}),
        "pndm": ("pndm", StableDiffusionPipeline, {}),
        "ddim": ("ddim", StableDiffusionPipeline, {}),
        "unguided": ("unipc", StableDiffusionPipeline, {"guidance_scale": 1.0}),
        "control": ("unipc", StableDiffusionControlNetPipeline, {}),
        "scale": (
            "unipc",
            StableDiffusionControlNetPipeline,
            {
                "controlnet_conditioning_scale": 0.8,
                "control_guidance_start": 0.2,
                "control_guidance_end": 0.7,
            },
        ),
        "guess": (
            "unipc",
            StableDiffusionControlNetPipeline,
            {"guess_mode": True, "guidance_scale": 3.0},
        ),
        "img2img": ("unipc", StableDiffusionImg2ImgPipeline, {"strength": 0.6}),
        "img2img_ddim": ("ddim", StableDiffusionImg2ImgPipeline, {"strength": 0.35}),
    }
    for module in nets.values():
        module.double()
    initial = draw(9, 1, 4, 8, 8).double()
    for name, (solver, kind, more) in runs.items():
        extra = {"controlnet": nets["controlnet"]} if "Control" in kind.__name__ else {}
        pipe = kind(**{**shared, **extra, "scheduler": solvers[solver]})
        pipe.set_progress_bar_config(disable=True)
        given: dict = {"latents": noise} if "Img2Img" not in kind.__name__ else {"image": initial}
        if extra:
            given["image"] = Image.fromarray(edges)
        generator = torch.Generator().manual_seed(0)
        latents = pipe(
            PROMPT, **given, generator=generator, **{**options, "output_type": "latent"}, **more
        ).images
        golden[f"latents/{name}"] = latents.permute(0, 2, 3, 1).numpy().astype(np.float32)
        decoded = nets["vae"].decode(latents / 0.18215).sample
        image = (decoded / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
        golden[f"image/{name}"] = image.detach().numpy()[:, ::4, ::4].astype(np.float32)
    # the noise that the image-to-image pipelines draw
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn((1, 4, 8, 8), generator=generator, dtype=torch.float64)
    golden["img2img_noise"] = drawn.permute(0, 2, 3, 1).numpy().astype(np.float32)


def full_size(golden: dict) -> None:
    """Record names and shapes at full size, and the single file's names that diffusers reads."""
    with torch.device("meta"):
        sd15 = {**SIZES, "block_out_channels": (320, 640, 1280, 1280), "cross_attention_dim": 768}
        full = {
            "unet": UNet2DConditionModel(
                sample_size=64, in_channels=4, out_channels=4, up_block_types=UP, **sd15
            ),
            "controlnet": ControlNetModel(in_channels=4, **sd15),
            "vae": AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                block_out_channels=(128, 256, 512, 512),
                layers_per_block=2,
                latent_channels=4,
                sample_size=512,
                scaling_factor=0.18215,
            ),
            "text_encoder": CLIPTextModel(
                CLIPTextConfig(
                    vocab_size=49408,
                    hidden_size=768,
                    intermediate_size=3072,
                    num_hidden_layers=12,
                    num_attention_heads=12,
                    projection_dim=768,
                )
            ),
        }
    for part, network in full.items():
        shapes = {name: list(value.shape) for name, value in network.state_dict().items()}
        golden[f"full/{part}"] = np.array(json.dumps(shapes))
    from flax import nnx

    from common.diffusion.unet.unet import UNet
    from common.latent_diffusion import names
    from common.latent_diffusion.config import SD15_UNET, HintConfig, VAEConfig
    from common.latent_diffusion.controlnet import ControlNet
    from common.latent_diffusion.vae import VAE

    converters = {
        "unet": single_file_utils.convert_ldm_unet_checkpoint,
        "controlnet": single_file_utils.convert_controlnet_checkpoint,
        "vae": single_file_utils.convert_ldm_vae_checkpoint,
    }
    ours = {
        "unet": nnx.eval_shape(lambda: UNet(SD15_UNET, rngs=nnx.Rngs(0))),
        "controlnet": nnx.eval_shape(lambda: ControlNet(SD15_UNET, HintConfig(), rngs=nnx.Rngs(0))),
        "vae": nnx.eval_shape(lambda: VAE(VAEConfig(), rngs=nnx.Rngs(0))),
    }
    for part, convert in converters.items():
        mapping = {
            names.diffusers_name(part, path): names.single_file_name(part, path)
            for path, _ in nnx.to_flat_state(nnx.state(ours[part]))
        }
        # each tensor is a number, which must come back under its own name
        numbered = {name: torch.full((1, 1, 1, 1), i) for i, name in enumerate(mapping.values())}
        back = {k: v.item() for k, v in convert(numbered, dict(full[part].config)).items()}
        assert back == {name: i for i, name in enumerate(mapping)}, part
        golden[f"single/{part}"] = np.array(json.dumps(mapping))


def main(vocabulary: str) -> None:
    torch.set_num_threads(1)
    golden: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as name, torch.no_grad():
        folder = Path(name)
        tok = tokenizer(vocabulary, folder / "tokenizer")
        nets = networks(len(tok))
        for part in ("unet", "vae"):
            blocks(golden, part, nets[part])
        parts(golden, nets)
        lora(golden, copy.deepcopy(nets["unet"]), folder / "lora")
        pipelines(golden, nets, tok, folder)
        full_size(golden)
    np.savez_compressed(Path(__file__).with_name("latent_diffusion.npz"), **golden)


if __name__ == "__main__":
    main(sys.argv[1])
