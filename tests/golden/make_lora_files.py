"""Writes lora_files.npz: what diffusers and peft compute with LoRA files and learned embeddings.

pip install torch==2.13.0 diffusers==0.42.1 transformers==5.24.0 peft==0.21.2 safetensors==0.8.0 \
    jax==0.10.2 flax==0.12.8 jaxtyping scipy ftfy pillow accelerate
HF_HUB_OFFLINE=1 PYTHONPATH=. python tests/golden/make_lora_files.py VOCABULARY

The networks are make_latent_diffusion.py's, VOCABULARY is too. Of each form of a file are kept the
names and shapes, what else stands in it, and what the networks compute with it; its matrices are
drawn by a formula.
"""

import copy
import io
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers.integrations.peft
from diffusers import PNDMScheduler, StableDiffusionPipeline
from diffusers.utils import convert_state_dict_to_diffusers
from make_latent_diffusion import draw, networks, thinned, tokenizer
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from seeded_weights import seeded_weights

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
TEXT = ["q_proj", "k_proj", "v_proj", "out_proj"]
KOHYA = {  # module -> shapes of down and up, and alpha
    "unet_down_blocks_0_attentions_1_transformer_blocks_0_attn1_to_q": ([4, 32], [32, 4], 2),
    "unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k": ([2, 32], [64, 2], 2),
    "unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_out_0": ([8, 96], [96, 8], 2),
    "unet_up_blocks_2_attentions_2_transformer_blocks_0_ff_net_0_proj": ([4, 64], [512, 4], 2),
    "unet_up_blocks_3_attentions_0_transformer_blocks_0_ff_net_2": ([4, 128], [32, 4], 2),
    "unet_up_blocks_3_attentions_0_proj_in": ([4, 32, 1, 1], [32, 4, 1, 1], 2),
    "unet_down_blocks_2_attentions_0_proj_out": ([4, 96, 1, 1], [96, 4, 1, 1], 2),
    "unet_down_blocks_0_resnets_0_time_emb_proj": ([3, 128], [32, 3], 2),
    "te_text_model_encoder_layers_0_self_attn_q_proj": ([4, 32], [32, 4], 2),
    "te_text_model_encoder_layers_1_self_attn_out_proj": ([2, 32], [32, 2], 2),
    "te_text_model_encoder_layers_1_mlp_fc1": ([4, 32], [64, 4], 2),
    "te_text_model_encoder_layers_0_mlp_fc2": ([4, 64], [32, 4], 2),
}
PROMPT = "an X-ray of <film> and more"


def filled(shapes: dict, seed: int) -> dict[str, torch.Tensor]:
    """Return the matrices of a file."""
    weights = seeded_weights(shapes, seed)
    return {name: torch.from_numpy(np.asarray(0.1 * w, np.float32)) for name, w in weights.items()}


def outputs(golden: dict, form: str, unet: torch.nn.Module, text: torch.nn.Module) -> None:
    x, t, context = draw(1, 2, 4, 8, 8), torch.tensor([3, 977]), draw(2, 2, 77, 32)
    golden[f"{form}/unet"] = thinned(unet(x, t, context).sample)
    ids = np.random.RandomState(6).randint(0, 800, (2, 77))
    golden[f"{form}/text"] = thinned(text(torch.from_numpy(ids)).last_hidden_state)


def record(golden: dict, form: str, path: Path, seed: int) -> None:
    """Record a file's names, shapes and metadata, and put the matrices of the formula into it."""
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    shapes = {n: list(v.shape) for n, v in tensors.items() if not n.endswith(".alpha")}
    alphas = {n: v.item() for n, v in tensors.items() if n.endswith(".alpha")}
    golden[f"{form}/shapes"] = np.array(json.dumps(shapes))
    golden[f"{form}/alphas"] = np.array(json.dumps(alphas))
    golden[f"{form}/metadata"] = np.array(json.dumps(metadata, sort_keys=True))
    golden[f"{form}/seed"] = np.array(seed)
    numbers = {name: torch.tensor(value) for name, value in alphas.items()}
    save_file({**filled(shapes, seed), **numbers}, path, metadata)


def adapted(nets: dict) -> dict[str, dict]:
    """Return adaptations of diffusers' U-Net and text encoder, and peft's settings of them."""
    settings = {
        "unet": LoraConfig(r=4, lora_alpha=32, target_modules=ATTENTION),
        "text_encoder": LoraConfig(
            r=3,
            lora_alpha=6,
            target_modules=TEXT,
            alpha_pattern={"encoder.layers.1.self_attn.v_proj": 9},
        ),
    }
    made = {}
    for part, config in settings.items():
        network = copy.deepcopy(nets[part])
        network.add_adapter(config)
        written = network.peft_config["default"].to_dict()
        written["target_modules"] = sorted(written["target_modules"])  # a set
        made[part] = {"state": get_peft_model_state_dict(network), "settings": written}
    return made


def write_forms(nets: dict, folder: Path) -> dict[str, Path]:
    """Write a file of each form that diffusers loads."""
    made, save = adapted(nets), StableDiffusionPipeline.save_lora_weights
    layers = {f"{part}_lora_layers": each["state"] for part, each in made.items()}
    settings = {f"{part}_lora_adapter_metadata": each["settings"] for part, each in made.items()}
    save(folder / "diffusers", **layers, **settings)
    older = {name: convert_state_dict_to_diffusers(state) for name, state in layers.items()}
    save(folder / "older", **older)
    oldest = {}
    for name, value in layers["unet_lora_layers"].items():
        layer, half = name.removesuffix(".weight").rsplit(".", 1)
        attention, projection = layer.replace(".to_out.0", ".to_out").rsplit(".", 1)
        half = {"lora_A": "down", "lora_B": "up"}[half]
        oldest[f"unet.{attention}.processor.{projection}_lora.{half}.weight"] = value.contiguous()
    for name, value in layers["text_encoder_lora_layers"].items():
        for which in ("q", "k", "v", "out"):
            name = name.replace(f".{which}_proj.lora_A", f".to_{which}_lora.down")
            name = name.replace(f".{which}_proj.lora_B", f".to_{which}_lora.up")
        oldest[f"text_encoder.text_model.{name}"] = value.contiguous()
    kohya = {}
    for module, (down, up, alpha) in KOHYA.items():
        kohya[f"lora_{module}.lora_down.weight"] = torch.zeros(down)
        kohya[f"lora_{module}.lora_up.weight"] = torch.zeros(up)
        kohya[f"lora_{module}.alpha"] = torch.tensor(float(alpha))
    for form, tensors in (("oldest", oldest), ("kohya", kohya)):
        (folder / form).mkdir()
        save_file(tensors, folder / form / "pytorch_lora_weights.safetensors")
    forms = ("diffusers", "older", "oldest", "kohya")
    return {form: folder / form / "pytorch_lora_weights.safetensors" for form in forms}


def lora_files(golden: dict, pipe: StableDiffusionPipeline, folder: Path) -> None:
    nets = {"unet": pipe.unet, "text_encoder": pipe.text_encoder}
    plain = copy.deepcopy(nets)
    for seed, (form, path) in enumerate(write_forms(nets, folder).items(), 50):
        record(golden, form, path, seed)
        pipe.unet, pipe.text_encoder = (copy.deepcopy(each) for each in plain.values())
        pipe.load_lora_weights(path.parent)
        outputs(golden, form, pipe.unet, pipe.text_encoder)
    pipe.unet, pipe.text_encoder = plain.values()
    peft = get_peft_model(
        copy.deepcopy(plain["unet"]),
        LoraConfig(r=9, lora_alpha=3, use_rslora=True, target_modules=["to_q", "ff.net.2"]),
    )
    peft.save_pretrained(folder / "peft")
    path = folder / "peft" / "adapter_model.safetensors"
    golden["peft/config"] = np.array((folder / "peft" / "adapter_config.json").read_text())
    record(golden, "peft", path, 60)
    peft.load_adapter(folder / "peft", "again")
    peft.set_adapter("again")
    outputs(golden, "peft", peft, plain["text_encoder"])


def embeddings(golden: dict, pipe: StableDiffusionPipeline) -> None:
    """Record ids and conditions of a prompt with a placeholder of one and of three vectors."""
    for vectors in (1, 3):
        one = copy.deepcopy(pipe)
        learned = torch.from_numpy(seeded_weights({"<film>": (vectors, 32)}, 70)["<film>"])
        one.load_textual_inversion({"<film>": learned})
        text = one.maybe_convert_prompt(PROMPT, one.tokenizer)
        ids = one.tokenizer(text, padding="max_length", truncation=True).input_ids
        golden[f"embedding/{vectors}/ids"] = np.array(ids, np.int32)
        hidden = one.text_encoder(torch.tensor([ids])).last_hidden_state
        golden[f"embedding/{vectors}/text"] = thinned(hidden)


def embedding_files(golden: dict) -> None:
    """Record files of an embedding as diffusers, the web UI, and others save them."""
    learned = torch.from_numpy(seeded_weights({"<film>": (3, 32)}, 70)["<film>"])
    files = {
        "diffusers": {"<film>": torch.nn.Parameter(learned)},
        "web_ui": {
            "string_to_token": {"*": torch.tensor(265)},
            "string_to_param": {"*": learned},
            "name": "<film>",
            "step": 500,
            "sd_checkpoint": None,
        },
        "inventors": {
            "string_to_token": {"*": torch.tensor(265)},
            "string_to_param": torch.nn.ParameterDict({"*": learned}),
        },
        "lone": learned,
    }
    for name, content in files.items():
        written = io.BytesIO()
        torch.save(content, written)
        golden[f"embedding/file/{name}"] = np.frombuffer(written.getvalue(), np.uint8)


def main(vocabulary: str) -> None:
    torch.set_num_threads(1)
    # it asks for peft 0.22, which it does without here
    transformers.integrations.peft.check_peft_version = lambda **_: None
    golden: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as name, torch.no_grad():
        tok = tokenizer(vocabulary, Path(name) / "tokenizer")
        nets = networks(len(tok))
        pipe = StableDiffusionPipeline(
            vae=nets["vae"],
            text_encoder=nets["text_encoder"],
            tokenizer=tok,
            unet=nets["unet"],
            scheduler=PNDMScheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        embeddings(golden, pipe)
        embedding_files(golden)
        lora_files(golden, pipe, Path(name))
    np.savez_compressed(Path(__file__).with_name("lora_files.npz"), **golden)


if __name__ == "__main__":
    main(sys.argv[1])
