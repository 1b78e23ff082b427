"""The same network in PyTorch, timed: python peer_pytorch.py --config small --size 320x320

  step   one denoising step of one image: the diffusion net only; condition features, fuse
         projections and gates are computed before and cached; no gradients. The sampler's own
         update, a few additions per pixel, is not in it.
  train  one training step of one image: both nets forward, all losses, backward, Adam.

  f32    channels_last.
  bf16   channels_last; step: bf16 weights and activations; train: autocast over float32 weights.
         Every norm is computed in float32: PyTorch's bf16 channels_last group norm is wrong.

PyTorch gets what a careful user would give it: fused attention, fused Adam, no_grad, one warm process
per measurement. Each (mode, dtype) runs in its own process, so that its peak memory is its own.
Prints one JSON object. Times are seconds, memory is bytes:
  peak_rss         highest resident size of the whole process,
  peak_rss_timed   the same from the end of the warm-up (Linux; else null),
  import_rss       resident size after importing PyTorch, before the model exists.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

MODES, DTYPES = ("step", "train"), ("f32", "bf16")


# ---- memory of this process ----------------------------------------------------------------------


def status_bytes(field):
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def reset_peak():
    """Make VmHWM start again from the present size; False where the system cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return True
    except OSError:
        return False


# ---- one measurement, in its own process ---------------------------------------------------------


def tune(ref, torch):
    """Norms in float32 whatever the activations are, and PyTorch's fused attention."""
    functional = torch.nn.functional

    def group_norm(self, x):
        with torch.autocast("cpu", enabled=False):
            y = functional.group_norm(x.float(), self.groups, self.gamma, self.beta, ref.NORM_EPS)
        return y.to(x.dtype)

    def attend(self, q, k, v):
        return functional.scaled_dot_product_attention(q, k, v)

    ref.GroupNorm.forward = group_norm
    ref.Attention.attend = attend


def build(ref, torch, args, device="cpu"):
    torch.manual_seed(35)
    model = ref.Verdiff(ref.config(args.config))
    with torch.no_grad():
        for p in model.parameters():  # zero-initialised convolutions too: nothing may be special
            p.add_(0.01 * torch.randn_like(p))
    return model.to(device=device, memory_format=torch.channels_last)


def inputs(torch, model, args, batch=1, device="cpu"):
    """image, mask as float (N, 1, H, W) and noise, padded to the configuration's multiple."""
    m = model.cfg.pad_multiple
    height, width = (-(-v // m) * m for v in args.size)
    shape = (batch, 1, height, width)
    image, noise = torch.randn(shape), torch.randn(shape)
    mask = (torch.nn.functional.avg_pool2d(image, 9, 1, 4) > 0).float()
    return [x.to(device=device, memory_format=torch.channels_last) for x in (image, mask, noise)]


def step_function(ref, torch, model, args):
    image, _, x = inputs(torch, model, args)
    model.eval()
    with torch.no_grad():
        _, features, p_f = model.prior(image)
        fused, gates = model.cache(features, p_f)
        f, t = model.code(p_f), torch.tensor([250])
        net = model.diff
        if args.dtype == "bf16":
            net = net.to(torch.bfloat16)
            for module in net.modules():
                if isinstance(module, ref.GroupNorm):
                    module.float()
            x, f, image = (v.bfloat16() for v in (x, f, image))
            fused, gates = ([v.bfloat16() for v in values] for values in (fused, gates))
        del features
    if args.compile:
        net = torch.compile(net)

    def step():
        with torch.no_grad():
            net(torch.cat([x, f, image], dim=1), t, fused, gates)

    return step


def train_function(ref, torch, model, args):
    image, mask, noise = inputs(torch, model, args)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    t = torch.tensor([250])
    abar = ref.per_image(ref.schedule()["abar"], t).float()
    snr = (model.rho**2 * abar / (1 - abar)).flatten()
    half = args.dtype == "bf16"

    def forward():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            logits, features, _ = model.prior(image)
            logits = logits.float()
            p_f = ref.probabilities(logits).detach()
            fused, gates = model.cache(features, p_f)
            x = ref.q_sample(model.code(mask), model.code(p_f), noise, abar)
            _, s = model.denoise(x, p_f, image, t, fused, gates)
        return ref.losses(s.float(), logits, mask, noise, snr)["total"]

    forward = torch.compile(forward) if args.compile else forward

    def step():
        optimizer.zero_grad(set_to_none=True)
        forward().backward()
        optimizer.step()

    return step


def measure(args):
    import torch

    import_rss = status_bytes("VmRSS")
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "Golden"))
    import verdiff_reference as ref

    torch.set_num_threads(args.threads)
    tune(ref, torch)
    model = build(ref, torch, args)
    step = (step_function if args.mode == "step" else train_function)(ref, torch, model, args)
    for _ in range(args.warmup):
        step()
    can_reset = reset_peak()
    times = []
    for _ in range(args.repeats):
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    return dict(
        mode=args.mode, dtype=args.dtype, compiled=args.compile, torch=torch.__version__,
        median_s=statistics.median(times), min_s=min(times), times_s=times,
        peak_rss=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        peak_rss_timed=status_bytes("VmHWM") if can_reset else None, import_rss=import_rss,
        parameters=sum(p.numel() for p in model.parameters()))


# ---- command line --------------------------------------------------------------------------------


def size(text):
    height, width = text.lower().split("x")
    return int(height), int(width)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", default="small", help="unit, tiny, small, base or full")
    parser.add_argument("--size", default=(320, 320), type=size, help="HEIGHTxWIDTH in pixels")
    parser.add_argument("--mode", choices=MODES, help="default: both")
    parser.add_argument("--dtype", choices=DTYPES, help="default: both")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="through torch.compile as well")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.repeats < 7 and not args.worker:
        parser.error(f"--repeats {args.repeats}, needs 7 or more for a median")
    return args


def run_worker(args, mode, dtype):
    command = [sys.executable, __file__, "--worker", "--config", args.config, "--size",
               f"{args.size[0]}x{args.size[1]}", "--mode", mode, "--dtype", dtype, "--threads",
               str(args.threads), "--repeats", str(args.repeats), "--warmup", str(args.warmup)]
    done = subprocess.run(command + ["--compile"] * args.compile, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"peer_pytorch: {mode} {dtype} failed with status {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def main():
    args = parse()
    if args.worker:
        print(json.dumps(measure(args)))
        return
    runs = [run_worker(args, mode, dtype)
            for mode in ([args.mode] if args.mode else MODES)
            for dtype in ([args.dtype] if args.dtype else DTYPES)]
    print(json.dumps(dict(peer="pytorch", config=args.config, height=args.size[0],
                          width=args.size[1], batch=1, threads=args.threads, runs=runs), indent=2))


if __name__ == "__main__":
    main()
