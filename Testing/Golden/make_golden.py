"""Write the golden files of this folder: python make_golden.py [--out FOLDER] [--float32].

Parameters and inputs come from a hash of (name, index) that any language reproduces bit for bit
(README.md), everything else from verdiff_reference.py in float64. --float32 runs the same in single
precision, to see how far a correct single-precision engine may be from the files; compare.py prints
the distance of two folders.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

import verdiff_reference as ref

SAMPLES = 16
ADAM_STEPS = 10
LEARNING_RATE = 1e-3
RHO = 0.3
U64 = np.uint64

CASES = (
    dict(stem="unit", config="unit", changes={}, size=(16, 12), t=(20, 400)),
    dict(stem="unit_k3", config="unit", changes=dict(classes=3), size=(16, 12), t=(30, 300),
         detach=False),
    dict(stem="unit_literal", config="unit", changes=dict(param="paper_literal"), size=(16, 12),
         t=(300, 900), scene="unit"),
    dict(stem="unit_eps", config="unit", size=(16, 12), t=(1, 400), scene="unit", short=True,
         changes=dict(param="eps", learn_sigma=True, process="ddpm", fuse="stem_add", nsa="k5")),
    dict(stem="unit_eps_bce", config="unit", size=(16, 12), t=(30, 300), scene="unit_k3", short=True,
         changes=dict(classes=3, param="eps_bce", fuse=False, nsa="mask_hard", nsa_gate="shared",
                      prior_hard=True)),
    dict(stem="unit_flips", config="unit", size=(16, 12), t=(20, 400), scene="unit", short=True,
         changes=dict(process="bernoulli", nsa="k3", nsa_wrap="literal", msff="cascade")),
    dict(stem="unit_sk", config="unit", size=(16, 12), t=(20, 400), scene="unit", short=True,
         changes=dict(nsa="sk", norm_in=True, msfm_norm="none")),
    dict(stem="tiny", config="tiny", changes={}, size=(48, 32), t=(20, 400), offset=True,
         full=False),
)


# ---- the generator (README.md states it; keep both in step) --------------------------------------


def splitmix64(x):
    x = x + U64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> U64(27))) * U64(0x94D049BB133111EB)
    return x ^ (x >> U64(31))


def fnv1a64(name):
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) % 2**64
    return U64(h)


def uniform(name, count):
    """u_i in [0, 1), i = 0 .. count-1, exact multiples of 2^-53."""
    with np.errstate(over="ignore"):
        bits = splitmix64(fnv1a64(name) ^ splitmix64(np.arange(count, dtype=U64)))
    return (bits >> U64(11)).astype(np.float64) * 2.0**-53


def signed(name, count):
    return 2.0 * uniform(name, count) - 1.0


def normal(name, count):
    """Nearly normal without a library function: twelve uniforms, summed in order, minus 6."""
    u = uniform(name, 12 * count).reshape(count, 12)
    total = u[:, 0].copy()
    for k in range(1, 12):
        total += u[:, k]
    return total - 6.0


def parameter_values(name, shape, classes, offset):
    """Values of the parameter `name` with file shape `shape`, flat in file order, float32.

    offset: the norms before a ReLU or LeakyReLU put their output 3 deviations from zero, to one
    side or the other by channel. Without it some of the 250,000 pre-activations of tiny lie within
    float32 rounding of zero; one that changes sides moves gradient tensors by per cents, and ten
    Adam steps then end 1e-3 apart between any two correct float32 programs.
    """
    v = signed(name, int(np.prod(shape)))
    part, kind = name.split(".")[-2:]
    activated = name.startswith("cond.") and part[:4] == "norm" and part != "norm"
    if kind == "weight":
        fan_in = shape[1] * shape[2] * (1 if ".dw" in name else shape[3])
        v = v * (1.0 / np.sqrt(np.float64(fan_in)))
        if name == "cond.head.weight":  # a prior that varies, so that the gates do too
            v = 4.0 * v
    elif kind == "gamma":
        v = 1.0 + 0.1 * v
        if offset and activated:
            v = 0.35 * v
    elif kind == "lambda":
        v = 0.5 * v
    else:  # beta, bias
        v = 0.05 * v
        if name == "cond.head.bias":  # a small foreground, so that the gates are not 1 everywhere
            v[0] += 2.0 if classes > 1 else -1.0 if offset else -2.0
        elif offset and activated:
            v += 1.0
            if ".msfm." not in name:
                v[1::2] *= -1.0
    return v.astype(np.float32)


def draw(name, n, height, width, classes):
    """Two ellipses per image: the mask (labels 1 and K - 1), and an image showing them in noise."""
    y = (np.arange(height, dtype=np.float64)[:, None] + 0.5) / height
    x = (np.arange(width, dtype=np.float64)[None, :] + 0.5) / width
    mask = np.zeros((n, height, width), np.uint8)
    image = np.zeros((n, height, width, 1))
    noise = signed(f"{name}.image", n * height * width).reshape(n, height, width)
    for i in range(n):
        a = 1.0 - ((y - 0.35) / 0.22) ** 2 - ((x - (0.40 + 0.15 * i)) / 0.24) ** 2
        b = 1.0 - ((y - 0.75) / 0.15) ** 2 - ((x - (0.65 - 0.20 * i)) / 0.22) ** 2
        mask[i][a > 0] = 1
        mask[i][b > 0] = max(1, classes - 1)
        image[i, :, :, 0] = np.maximum(a, -1.0) - np.maximum(b, -1.0) + 0.5 * noise[i]
    return image.astype(np.float32), mask


# ---- between PyTorch's layout and the files' -----------------------------------------------------


def file_layout(module, tensor):
    """Dense convolution (co, kh, kw, ci), depthwise (1, k, k, C), linear (co, 1, 1, ci), else
    (1, 1, 1, C)."""
    if isinstance(module, torch.nn.Conv2d) and tensor.ndim == 4:
        return tensor.permute(1, 2, 3, 0) if module.groups > 1 else tensor.permute(0, 2, 3, 1)
    if tensor.ndim == 2:
        return tensor[:, None, None, :]
    return tensor.reshape(1, 1, 1, -1)


def torch_layout(module, array, shape):
    if isinstance(module, torch.nn.Conv2d) and len(shape) == 4:
        order = (3, 0, 1, 2) if module.groups > 1 else (0, 3, 1, 2)
        return torch.from_numpy(array).permute(order)
    return torch.from_numpy(array).reshape(tuple(shape))


def nhwc(tensor):
    return tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor[:, None, None, :]


def nchw(array):
    return torch.from_numpy(array).permute(0, 3, 1, 2)


def stored(tensor):
    array = tensor.detach().numpy() if isinstance(tensor, torch.Tensor) else np.asarray(tensor)
    return np.ascontiguousarray(array.astype(np.float32))


def summary(name, values):
    """[sum, l2 norm, 16 samples at floor(j n / 16)] of a parameter in file order.

    The key rows of an attention bias are left out: they move every score of a query alike, so their
    gradient is exactly zero and Adam turns its rounding error into steps.
    """
    flat = values.detach().double().reshape(-1).numpy()
    if name.endswith(".qkv.bias"):
        c = flat.size // 3
        flat = np.concatenate([flat[:c], flat[2 * c:]])
    picks = flat[np.arange(SAMPLES) * flat.size // SAMPLES]
    return np.concatenate([[flat.sum(), np.sqrt((flat**2).sum())], picks]).astype(np.float32)


# ---- one case ------------------------------------------------------------------------------------


class Case:
    """One golden file. full: also store the parameters before and after the Adam steps; short: no
    parameters and no Adam steps.

    scene names the inputs, by default as the file.
    """

    def __init__(self, stem, config, changes, size, t, scene=None, offset=False, detach=True,
                 full=True, short=False, dtype=torch.float64):
        self.stem, self.scene, self.dtype = stem, scene or stem, dtype
        self.full, self.short = full and not short, short
        self.cfg = ref.config(config, **changes)
        self.offset, self.detach, self.literal = offset, detach, self.cfg.param == "paper_literal"
        self.model = ref.Verdiff(self.cfg, rho=RHO)
        self.tables = ref.schedule("linear", 1000)
        self.out = {}
        self.set_parameters()
        self.set_inputs(size, t)

    def set_parameters(self):
        for name, module, attribute, p in ref.named_parameters(self.model):
            shape = tuple(file_layout(module, p).shape)
            values = parameter_values(name, shape, self.cfg.classes, self.offset).reshape(shape)
            p.data.copy_(torch_layout(module, values, p.shape))
        self.model.to(self.dtype)

    def set_inputs(self, size, t):
        k, n, dtype = self.cfg.classes, len(t), self.dtype
        image, mask = draw(self.scene, n, *size, k)
        eps = normal(f"{self.scene}.eps", n * size[0] * size[1] * k).astype(np.float32)
        eps = eps.reshape(n, *size, k)
        self.out.update({"in/image": image, "in/mask": mask, "in/eps": eps,
                         "in/t": np.array(t, np.int32)})
        self.image, self.eps = nchw(image).to(dtype), nchw(eps).to(dtype)
        self.target = ref.one_hot(torch.from_numpy(mask), k).to(dtype)
        self.t = torch.tensor(t)
        self.abar = ref.per_image(self.tables["abar"], self.t)
        self.abar = self.abar.to(dtype)

    def put(self, key, tensor):
        self.out[key] = stored(nhwc(tensor))

    def parameters(self):
        """(name, value, gradient) in file layout; after a backward pass only."""
        for name, module, _, p in ref.named_parameters(self.model):
            yield name, file_layout(module, p.data), file_layout(module, p.grad)

    def forward(self, record=False):
        logits, features, p_f = self.model.prior(self.image)
        fused, gates = self.model.cache(features, p_f, self.detach)
        x = self.model.noised(self.target, p_f, self.eps, self.abar)
        s_net, s = self.model.denoise(x, p_f, self.image, self.t, fused, gates)
        terms = ref.losses(self.model, s, x, p_f, logits, self.target, self.eps, self.tables, self.t)
        if record:
            self.put("prior/logits", logits)
            self.put("prior/p_f", ref.probabilities(logits))
            for i, c in enumerate(features):
                self.put(f"cond/c{i}", c)
            for level, fuse in enumerate(fused or []):
                self.put(f"cond/fuse{level}", fuse)
            for level, gate in enumerate(gates if self.cfg.nsa in (True, "mask_hard") else []):
                self.put(f"cond/gate{level}", gate)
            self.put("diff/x_t", x)
            self.put("diff/s_net", s_net)
            self.put("diff/s", s)
        return terms

    def record_modules(self):
        """Output of every block (cond.dec{i} is cond/c{i}): where a difference first appears."""
        kinds = (ref.MSFM, ref.MSFF, ref.Stage, ref.TimeMLP, ref.ResBlock, ref.Attention, ref.NSA)

        def keep(name):
            return lambda module, inputs, output: self.put(f"act/{name}", output)

        return [m.register_forward_hook(keep(name)) for name, m in self.model.named_modules()
                if (isinstance(m, kinds) or name.endswith((".down", ".up", ".stem")))
                and not name.startswith("cond.dec")]

    def losses_row(self, terms):
        return [terms[name].item() for name in ref.LOSS_TERMS]

    def forward_backward(self):
        hooks = self.record_modules()
        terms = self.forward(record=True)
        for hook in hooks:
            hook.remove()
        self.out["loss/terms"] = np.array(self.losses_row(terms), np.float32)
        self.model.zero_grad()
        terms["total"].backward()
        for name, value, grad in self.parameters():
            if self.full:
                self.out[f"param/{name}"] = stored(value)
            self.out[f"grad/{name}"] = stored(grad)
            if not self.short:
                self.out[f"param0/{name}"] = summary(name, value)

    def adam(self):
        optimizer = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.999),
                                     eps=1e-8, foreach=False)
        rows = []
        for _ in range(ADAM_STEPS):
            optimizer.zero_grad()
            terms = self.forward()
            terms["total"].backward()
            optimizer.step()
            rows.append(self.losses_row(terms))
        self.out["adam/losses"] = np.array(rows, np.float32)
        for name, value, _ in self.parameters():
            self.out[f"adam/{name}"] = summary(name, value)
            if self.full:
                self.out[f"final/{name}"] = stored(value)

    def noise(self, name):
        n, k, h, w = self.eps.shape
        values = normal(f"{self.scene}.{name}", n * h * w * k).astype(np.float32)
        values = values.reshape(n, h, w, k)
        self.out[f"sampler/{name}"] = values
        return nchw(values).to(self.dtype)

    def step(self, x, out, f, t, last, j):
        """State after a step from t to last, from the network's output; and the estimated mask."""
        cfg, abar, k = self.cfg, self.tables["abar"], self.cfg.classes
        noise = lambda: self.noise(f"noise{j}")
        if self.literal:
            return ref.algorithm2_step(x, out, self.tables, t, noise() if t > 1 else 0.0), None
        if cfg.process == "bernoulli":
            clean = (x - torch.sigmoid(out)).abs()
            return ref.flip_step(x, clean, abar[t], abar[last], noise() if last else 0.0), clean
        if cfg.param == "x0":
            p = ref.probabilities(out)
            return ref.ddim_step(x, self.model.code(p), f, abar[t], abar[last]), p
        x0 = ref.decode(x, out[:, :k], f, abar[t], RHO)
        p = (x0 / RHO + 1) / 2
        if cfg.learn_sigma:
            drawn = noise() if last else 0.0
            return ref.learned_step(x, x0, f, out[:, k:], abar[t], abar[last], drawn), p
        return ref.ddim_step(x, x0, f, abar[t], abar[last]), p

    def start(self, f, p_f, abar):
        noise = self.noise("start_noise")
        if self.literal:
            return noise
        if self.cfg.process == "bernoulli":
            return ref.coins(p_f, noise)
        kept = abar**0.5 if self.cfg.process == "ddpm" else 1.0
        return kept * f + (1 - abar) ** 0.5 * noise

    def sampler(self):
        """DDIM, S = 4, t0 = 500, eta 0 (ancestral with a learned variance, flips with flips); in the
        literal mode the last five steps of Algorithm 2."""
        model = self.model
        with torch.no_grad():
            _, features, p_f = model.prior(self.image)
            fused, gates = model.cache(features, p_f)
            f, abar = model.code(p_f), self.tables["abar"]
            grid = [5, 4, 3, 2, 1, 0] if self.literal else [500, 375, 250, 125, 0]
            x = self.start(f, p_f, abar[grid[0]])
            shift = 0 * f if self.cfg.process == "ddpm" else f
            self.put("sampler/x0", x)
            self.out["sampler/t"] = np.array(grid[:-1], np.int32)
            for j, (t, s) in enumerate(zip(grid, grid[1:])):
                times = torch.full((len(x),), t)
                _, out = model.denoise(x, p_f, self.image, times, fused, gates)
                x, p = self.step(x, out, shift, t, s, j + 1)
                self.put(f"sampler/s{j + 1}", out)
                self.put(f"sampler/x{j + 1}", x)
            if self.literal:
                self.out["sampler/mask"] = (nhwc(x)[..., 0] > 0.5).numpy().astype(np.uint8)
            else:
                total = p.sum(dim=1, keepdim=True)
                even = torch.full_like(p, 1 / p.shape[1])
                many = p.shape[1] > 1
                p = torch.where(total > 0, p / total, even) if many else p
                self.put("sampler/probability", p)

    def write(self, folder):
        cfg = self.cfg
        about = dict(config=cfg.name, classes=cfg.classes, image_channels=cfg.image_channels,
                     param=cfg.param, process=cfg.process, learn_sigma=int(cfg.learn_sigma),
                     cond_detach=int(self.detach), msfm=1, msfm_norm=cfg.msfm_norm, msff=cfg.msff,
                     nsa="mask_soft" if cfg.nsa is True else cfg.nsa, nsa_wrap=cfg.nsa_wrap,
                     nsa_gate=cfg.nsa_gate, prior_hard=int(cfg.prior_hard), norm_in=int(cfg.norm_in),
                     fuse={True: "level_add", False: "concat"}.get(cfg.fuse, cfg.fuse),
                     scale_shift=1, norm="instance", prior_skip=int(cfg.gives_mask), rho=1 if self.literal else RHO,
                     schedule="linear", T=1000, snr_clip=5, lambda_b=1, lambda_d=1, lambda_p=1,
                     learning_rate=LEARNING_RATE, offset_norms=int(self.offset),
                     parameters=sum(p.numel() for p in self.model.parameters()),
                     loss_terms=list(ref.LOSS_TERMS), precision=str(self.dtype).split(".")[1],
                     torch=torch.__version__.split("+")[0])
        path = folder / f"{self.stem}.safetensors"
        save_file(dict(sorted(self.out.items())), path, metadata={"golden": json.dumps(about)})
        path.chmod(0o644)
        print(f"{path.name}: {len(self.out)} tensors, {path.stat().st_size:,} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--float32", action="store_true")
    parser.add_argument("--only", nargs="*", help="stems to write, all by default")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for description in CASES:
        if args.only and description["stem"] not in args.only:
            continue
        case = Case(**description, dtype=torch.float32 if args.float32 else torch.float64)
        case.forward_backward()
        case.sampler()  # with the initial parameters
        if not case.short:
            case.adam()
        case.write(args.out)


if __name__ == "__main__":
    main()
