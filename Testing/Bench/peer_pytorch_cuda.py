"""The same network in PyTorch on a GPU, timed as a careful user would run it.

  python peer_pytorch_cuda.py [--configs base,small,full] [--sizes 320x320,880x880] [--batches 8,1,32]
                              [--forms compiled,eager] [--budget 240] [--each 90]

  step   one denoising step of a batch: the diffusion net in bf16, channels_last; condition features,
         projections and gates are computed before; no gradients; no sampler update.
  train  one training step of a batch: both nets, all losses, backward, fused Adam; autocast bf16 over
         float32 weights.

  eager     as written, fused attention.
  compiled  torch.compile(mode="reduce-overhead"): fused kernels, replayed as CUDA graphs.

Prints one JSON object a line, the important ones first: base before small and full, 320x320 batch 8
before the rest. First the GPU's ceilings as PyTorch reaches them. Memory is PyTorch's allocator's: the
most bytes allocated and the most reserved while the timed function was compiled and run.

Measurements run in a worker process, so that one that hangs or takes longer than --each seconds is
ended alone; when --budget seconds are spent the rest is printed as skipped. --device cpu runs the
same code without a GPU, to try it.
"""

import argparse
import gc
import json
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from queue import Empty, Queue
from types import SimpleNamespace

import peer_pytorch as peer


# ---- one measurement -----------------------------------------------------------------------------


def step_function(ref, torch, model, item, device):
    """As peer_pytorch.step_function, but everything in bf16: on a GPU its norms sum in float32."""
    image, _, x = peer.inputs(torch, model, item, item.batch, device)
    net = model.diff
    with torch.no_grad():
        _, features, p_f = model.prior(image)
        fused, gates = model.cache(features, p_f)
        f, t = model.code(p_f), torch.full((item.batch,), 250, device=device)
        net = net.to(torch.bfloat16)
        x, f, image = (v.bfloat16() for v in (x, f, image))
        fused, gates = ([v.bfloat16() for v in values] for values in (fused, gates))
        planes = torch.cat([x, f, image], dim=1).contiguous(memory_format=torch.channels_last)
    model.cond = None
    if item.form == "compiled":
        net = torch.compile(net, mode="reduce-overhead", dynamic=False)

    def step():
        torch.compiler.cudagraph_mark_step_begin()
        with torch.no_grad():
            net(planes, t, fused, gates)

    return step


def train_function(ref, torch, model, item, device):
    image, mask, noise = peer.inputs(torch, model, item, item.batch, device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    t = torch.full((item.batch,), 250)
    abar = ref.per_image(ref.schedule()["abar"], t).float()
    snr = (model.rho**2 * abar / (1 - abar)).flatten().to(device)
    abar, t = abar.to(device), t.to(device)

    def forward():
        with torch.autocast(device, dtype=torch.bfloat16):
            logits, features, _ = model.prior(image)
            logits = logits.float()
            p_f = ref.probabilities(logits).detach()
            fused, gates = model.cache(features, p_f)
            x = ref.q_sample(model.code(mask), model.code(p_f), noise, abar)
            _, s = model.denoise(x, p_f, image, t, fused, gates)
        return ref.losses(s.float(), logits, mask, noise, snr)["total"]

    if item.form == "compiled":
        forward = torch.compile(forward, mode="reduce-overhead", dynamic=False)

    def step():
        torch.compiler.cudagraph_mark_step_begin()
        optimizer.zero_grad(set_to_none=True)
        forward().backward()
        optimizer.step()

    return step


def timed(torch, device, step, seconds=1.0):
    """Times of single steps, each waited for; the compiler and the recording come before."""
    def wait():
        if device == "cuda":
            torch.cuda.synchronize()

    for _ in range(4):
        step()
    wait()
    rounds, times, begin = 5, [], time.perf_counter()
    step()
    wait()
    per_round = max(1, min(50, int(seconds / rounds / (time.perf_counter() - begin))))
    for _ in range(rounds):
        begin = time.perf_counter()
        for _ in range(per_round):
            step()
        wait()
        times.append((time.perf_counter() - begin) / per_round)
    return times


def measure(ref, torch, item, device):
    begin = time.perf_counter()
    model = peer.build(ref, torch, item, device)
    make = step_function if item.mode == "step" else train_function
    step = make(ref, torch, model, item, device)
    if device == "cuda":  # the condition pass in front of a step is not counted
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    times = timed(torch, device, step)
    out = dict(median_ms=1e3 * statistics.median(times), min_ms=1e3 * min(times),
               set_up_s=round(time.perf_counter() - begin, 1), torch=torch.__version__)
    if device == "cuda":
        out.update(peak_alloc_mib=torch.cuda.max_memory_allocated() / 2**20,
                   peak_reserved_mib=torch.cuda.max_memory_reserved() / 2**20)
    return out


def ceilings(torch, device):
    """The largest matrix product and copy rate; random data, for zeros run faster."""
    n, copied = (8192, 2**30) if device == "cuda" else (256, 2**22)
    a = torch.randn(n, n, device=device, dtype=torch.bfloat16)
    b = torch.randn(n, n, device=device, dtype=torch.bfloat16)
    x = torch.randn(copied // 4, device=device)
    y = torch.empty_like(x)
    product = min(timed(torch, device, lambda: a @ b, 0.3))
    a, b = a.float()[:n // 2, :n // 2].contiguous(), b.float()[:n // 2, :n // 2].contiguous()
    torch.backends.cuda.matmul.allow_tf32 = False
    single = min(timed(torch, device, lambda: a @ b, 0.3))
    copy = min(timed(torch, device, lambda: y.copy_(x), 0.2))
    return dict(who="pytorch", bench="ceilings", bf16_tflops=2e-12 * n**3 / product,
                f32_tflops=2e-12 * (n // 2)**3 / single, copy_gbps=2e-9 * copied / copy)


# ---- the worker: items in, lines out -------------------------------------------------------------


def item_of(text):
    config, mode, size, batch, form = text.split(":")
    return SimpleNamespace(config=config, mode=mode, size=peer.size(size), batch=int(batch),
                           form=form, dtype="bf16")


def about(text):
    config, mode, size, batch, form = text.split(":")
    return dict(who="pytorch", config=config, mode=mode, size=size, batch=int(batch), form=form,
                dtype="bf16")


def work(items, device, with_ceilings):
    import torch

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "Golden"))
    import verdiff_reference as ref

    ref.Attention.attend = lambda self, q, k, v: \
        torch.nn.functional.scaled_dot_product_attention(q, k, v)
    torch.backends.cudnn.benchmark = device == "cuda"
    if with_ceilings:
        try:
            print(json.dumps(ceilings(torch, device)), flush=True)
        except RuntimeError as error:
            print(f"no ceilings: {error}", file=sys.stderr)
    for text in items:
        line = about(text)
        try:
            line.update(measure(ref, torch, item_of(text), device))
        except Exception as error:  # out of memory, most of all: the next one may fit
            line["skipped"] = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
            del error
        torch._dynamo.reset()
        gc.collect()
        print(json.dumps(line), flush=True)


class Worker:
    """A process whose lines arrive in a queue; None when it has ended."""

    def __init__(self, items, device, with_ceilings):
        command = [sys.executable, __file__, "--worker", ",".join(items), "--device", device]
        self.process = subprocess.Popen(command + ["--ceilings"] * with_ceilings,
                                        stdout=subprocess.PIPE, text=True)
        self.lines = Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                self.lines.put(line.rstrip())
        self.lines.put(None)

    def end(self):
        self.process.kill()
        self.process.wait()


# ---- the order of things -------------------------------------------------------------------------


def plan(args):
    """base 320x320 batch 8, step and train, both forms; the same of the others; then the rest."""
    configs, sizes, batches = (v.split(",") for v in (args.configs, args.sizes, args.batches))
    forms = args.forms.split(",")
    first = [(c, m, sizes[0], batches[0]) for c in configs for m in ("step", "train")]
    rest = [(c, m, s, b) for b in batches for s in sizes for c in configs for m in ("step", "train")]
    order = list(dict.fromkeys(first + rest))
    return [":".join((*key, form)) for key in order for form in forms]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--configs", default="base,small,full")
    parser.add_argument("--sizes", default="320x320,880x880", help="the most important first")
    parser.add_argument("--batches", default="8,1,32", help="the most important first")
    parser.add_argument("--forms", default="compiled,eager")
    parser.add_argument("--budget", type=float, default=240, help="seconds for everything")
    parser.add_argument("--each", type=float, default=120, help="seconds for one measurement")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--ceilings", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker is not None:
        work([v for v in args.worker.split(",") if v], args.device, args.ceilings)
        return
    end, items, worker, wants_ceilings = time.monotonic() + args.budget, plan(args), None, True
    while items:
        left = end - time.monotonic()
        if left < 1:
            break
        worker = worker or Worker(items, args.device, wants_ceilings)
        try:
            line = worker.lines.get(timeout=min(left, args.each))
        except Empty:
            line = None
        if line and "ceilings" in line:
            wants_ceilings = False
            print(line, flush=True)
            continue
        if line is None:  # too long, or it died
            worker.end()
            worker, wants_ceilings = None, False
            why = "the budget is spent" if time.monotonic() > end - 1 else "too long or it died"
            line = json.dumps(dict(about(items[0]), skipped=why))
        print(line, flush=True)
        items.pop(0)
    if worker:
        worker.end()
    for text in items:
        print(json.dumps(dict(about(text), skipped="the budget is spent")), flush=True)


if __name__ == "__main__":
    main()
