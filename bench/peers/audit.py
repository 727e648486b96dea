"""The peer of `npm run bench -- audit`: Hugging Face Transformers on the same checkpoint where it can be imported, else the same layer in plain PyTorch.

    audit.py forward DIR LAYERS PROMPTS TOKENS THREADS     one forward pass of all blocks, all prompts, everything in memory, float32
    audit.py spectrum BASE TUNED TENSOR THREADS            singular values of dW and of W of one tensor, LAPACK in float64

Prints one JSON object.
"""

import json
import resource
import sys
import time as clock

import torch
import torch.nn.functional as F
from torch import nn


def tensor_of(folder, name):
    """One tensor of a safetensors file, read by its header: no other package is needed."""
    with open(f"{folder}/model.safetensors", "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        info = json.loads(file.read(length))[name]
        begin, end = info["data_offsets"]
        file.seek(8 + length + begin)
        return torch.frombuffer(bytearray(file.read(end - begin)), dtype=torch.bfloat16).view(info["shape"])


class PlainLayer(nn.Module):
    """A Llama block (Touvron et al. 2023): RMSNorm, rotary attention, gated MLP."""

    def __init__(self, width, mlp, heads):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.gate, self.up = nn.Linear(width, mlp, bias=False), nn.Linear(width, mlp, bias=False)
        self.down = nn.Linear(mlp, width, bias=False)
        self.norm1, self.norm2 = nn.Parameter(torch.ones(width)), nn.Parameter(torch.ones(width))

    def forward(self, x):
        batch, time, width = x.shape
        dim = width // self.heads
        angles = torch.outer(torch.arange(time), 10000 ** (-torch.arange(0, dim, 2) / dim)).repeat(1, 2)
        turn = lambda y: y * angles.cos() + torch.cat([-y[..., dim // 2 :], y[..., : dim // 2]], -1) * angles.sin()
        h = F.rms_norm(x, (width,), self.norm1, 1e-5)
        q, k, v = (w(h).view(batch, time, self.heads, dim).transpose(1, 2) for w in (self.q, self.k, self.v))
        z = F.scaled_dot_product_attention(turn(q), turn(k), v, is_causal=True)
        x = x + self.o(z.transpose(1, 2).reshape(batch, time, width))
        h = F.rms_norm(x, (width,), self.norm2, 1e-5)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


def forward(folder, layers, prompts, tokens):
    config = json.load(open(f"{folder}/config.json"))
    torch.manual_seed(0)
    ids = torch.randint(3, config["vocab_size"], (prompts, tokens))
    batches = ids.split(25)
    try:
        import transformers

        name = f"Transformers {transformers.__version__}"
        model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        run = lambda batch: model(batch, use_cache=False).last_hidden_state
    except ImportError:
        name = "the same layers in plain PyTorch"
        width, mlp, heads = (config[k] for k in ("hidden_size", "intermediate_size", "num_attention_heads"))
        table = nn.Embedding(config["vocab_size"], width)
        model = nn.Sequential(*(PlainLayer(width, mlp, heads) for _ in range(layers))).eval()
        run = lambda batch: model(table(batch))
    with torch.no_grad():
        run(batches[0][:1])  # the first call sets up threads
        start, cpu = clock.perf_counter(), clock.process_time()
        for batch in batches:
            run(batch)
        seconds, cpu = clock.perf_counter() - start, clock.process_time() - cpu
    return {"name": f"{name}, PyTorch {torch.__version__}", "seconds": seconds, "cpu": cpu}


def spectrum(base, tuned, name):
    before, after = (tensor_of(folder, name).double() for folder in (base, tuned))
    start = clock.perf_counter()
    delta = torch.linalg.svdvals(after - before)
    own = torch.linalg.svdvals(before)
    seconds = clock.perf_counter() - start

    def rank(values, share):
        energy = (values**2).cumsum(0)
        return int((energy < share * energy[-1]).sum()) + 1

    return {
        "name": f"LAPACK in float64, PyTorch {torch.__version__}",
        "seconds": seconds,
        "delta": delta[:64].tolist(),
        "ranks": [rank(delta, share) for share in (0.9, 0.95, 0.99)],
        "baseRanks": [rank(own, share) for share in (0.9, 0.95, 0.99)],
    }


what, *words = sys.argv[1:]
torch.set_num_threads(int(words[-1]))
answer = forward(words[0], *map(int, words[1:4])) if what == "forward" else spectrum(*words[:3])
answer["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps(answer))
