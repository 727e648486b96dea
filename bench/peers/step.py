"""Nullscope's training step in PyTorch, as a PyTorch user would write it today: fused attention, fused AdamW, foreach clipping.

Speaks one JSON object a line: requests on standard input, answers on standard output. bench/lib/peer.mjs starts it.
"""

import json
import math
import platform
import sys
import time as clock

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x, mask):
        batch, time, width = x.shape
        q, k, v = (
            part.view(batch, time, self.heads, width // self.heads).transpose(1, 2)
            for part in self.qkv(x).split(width, dim=2)
        )
        z = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return self.proj(z.transpose(1, 2).reshape(batch, time, width))


class Mlp(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.fc = nn.Linear(width, hidden)
        self.proj = nn.Linear(hidden, width)

    def forward(self, x):
        return self.proj(F.gelu(self.fc(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, width, heads, hidden, epsilon):
        super().__init__()
        self.ln1 = nn.LayerNorm(width, eps=epsilon)
        self.attn = Attention(width, heads)
        self.ln2 = nn.LayerNorm(width, eps=epsilon)
        self.mlp = Mlp(width, hidden)

    def forward(self, x, mask):
        x = x + self.attn(self.ln1(x), mask)
        return x + self.mlp(self.ln2(x))


class Gpt(nn.Module):
    """Names of parameters are Nullscope's."""

    def __init__(self, config, pad, masked):
        super().__init__()
        width, context = config["width"], config["context"]
        self.pad, self.masked = pad, masked
        self.embed = nn.Embedding(config["vocabulary"], width)
        self.blocks = nn.ModuleList(
            Block(width, config["heads"], config["mlp"], config["epsilon"]) for _ in range(config["blocks"])
        )
        self.ln_final = nn.LayerNorm(width, eps=config["epsilon"])
        self.unembed = nn.Linear(width, config["vocabulary"], bias=False)
        column = torch.arange(width)
        angle = torch.arange(context)[:, None] / 10000 ** ((column - column % 2) / width).double()
        self.register_buffer("positions", torch.where(column % 2 == 0, angle.sin(), angle.cos()).float())
        self.register_buffer("causal", torch.ones(context, context, dtype=torch.bool).tril())

    def forward(self, tokens, targets):
        # Padding inside a row has to be masked; rows without any need no mask, and PyTorch is faster without.
        time = tokens.shape[1]
        mask = self.causal[:time, :time] & (tokens != self.pad)[:, None, None, :] if self.masked else None
        x = self.embed(tokens) + self.positions[:time]
        for block in self.blocks:
            x = block(x, mask)
        logits = self.unembed(self.ln_final(x))
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1), ignore_index=-100)


def learning_rate(step, peak, final, warmup, steps):
    if step < warmup:
        return peak * (step + 1) / warmup
    span = steps - 1 - warmup
    progress = 1 if span <= 0 else (step - warmup) / span
    return final + 0.5 * (peak - final) * (1 + math.cos(math.pi * progress))


def training(request, device):
    """Reads what the request names, and returns a generator that makes one training step each time it is resumed."""
    model = Gpt(request["model"], request["pad"], request["masked"]).to(device)
    flat = np.fromfile(request["weights"], dtype=np.float32)
    parameters = dict(model.named_parameters())
    assert set(parameters) == {slot["name"] for slot in request["slots"]}
    with torch.no_grad():
        for slot in request["slots"]:
            values = flat[slot["offset"] : slot["offset"] + slot["size"]].reshape(slot["shape"])
            parameters[slot["name"]].copy_(torch.from_numpy(values))
    decayed = [m.weight for m in model.modules() if isinstance(m, nn.Linear)]
    kept = [p for p in parameters.values() if all(p is not d for d in decayed)]
    options = request["adamw"]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": options["weightDecay"]}, {"params": kept, "weight_decay": 0.0}],
        lr=1e-3,
        betas=tuple(options["betas"]),
        eps=options["epsilon"],
        fused=True,
    )
    # [steps, tokens and targets, batch, time]
    samples = np.fromfile(request["samples"], dtype=np.int64).reshape(-1, 2, request["batch"], request["time"])
    loss_of = torch.compile(model) if request["compile"] else model
    metrics = open(request["metrics"], "w") if request.get("metrics") else None

    def steps():
        step = 0
        while True:
            rate = learning_rate(step, **request["schedule"])
            for group in optimizer.param_groups:
                group["lr"] = rate
            tokens, targets = torch.from_numpy(samples[step % len(samples)]).to(device)
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(tokens, targets)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(parameters.values(), request["clip"])
            optimizer.step()
            step += 1
            row = {"step": step, "loss": loss.item(), "learningRate": rate, "gradientNorm": norm.item()}
            if metrics is not None:
                metrics.write(json.dumps(row) + "\n")
                metrics.flush()
            yield row["loss"]

    return steps()


def turn(steps, count):
    seconds, losses = [], []
    for _ in range(count):
        start = clock.perf_counter()
        losses.append(next(steps))
        seconds.append(clock.perf_counter() - start)
    return {"seconds": seconds, "losses": losses}


def main():
    trainings = {}
    device = "cpu"
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "start":
                torch.set_num_threads(request["threads"])
                device = "cuda" if request["device"] == "gpu" and torch.cuda.is_available() else "cpu"
                where = f" on {torch.cuda.get_device_name()}" if device == "cuda" else " on the CPU"
                # float32 throughout on both sides: PyTorch's default is no TF32 in matrix products.
                description = f"PyTorch {torch.__version__} eager{where}, Python {platform.python_version()}"
                answer = {"description": description}
            elif request["do"] == "load":
                answer = {"id": len(trainings)}
                trainings[answer["id"]] = training(request, device)
            elif request["do"] == "turn":
                answer = turn(trainings[request["id"]], request["count"])
            elif request["do"] == "drop":
                trainings[request["id"]] = None
                answer = {}
            else:
                answer = {"error": f"unknown request {request['do']!r}"}
        except Exception as error:  # the caller decides what a failure means
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
