"""Checks of verdiff_reference.py itself: python check_reference.py, exit status 1 on any failure.

Parameter counts of every configuration and switch, DDPM-256's published count, the schedule tables,
identities of the process, and gradients against central differences in float64.
"""

import sys

import numpy as np
import torch

import verdiff_reference as ref

failures = []


def check(name, error, bound):
    good = bool(error <= bound)  # NaN fails
    print(f"{'ok  ' if good else 'FAIL'} {name}: {error:.3g} (bound {bound:g})")
    if not good:
        failures.append(name)


def count(module):
    return sum(p.numel() for p in module.parameters())


def split(model):
    """Parameters of the condition net with the fuse projections it feeds, and of the rest."""
    fuse = sum(p.numel() for name, _, _, p in ref.named_parameters(model) if ".fuse" in name)
    return count(model.cond) + fuse, count(model.diff) - fuse


# ---- parameter counts ----------------------------------------------------------------------------

PARTS = {  # condition net with the fuse projections, rest; with MSFM and NSA
    "unit": (1441, 47229), "tiny": (237969, 931964), "small": (1254433, 3687132),
    "base": (5036289, 19915231), "full": (18267777, 119585573),
}
NEITHER = {"tiny": 1151701, "small": 4892709, "base": 24716610}  # total without MSFM and NSA


def check_counts():
    print("config    msfm nsa      cond         diff        total")
    for name, parts in PARTS.items():
        for msfm, nsa in ((0, 0), (1, 0), (0, 1), (1, 1)):
            cfg = ref.config(name, msfm=bool(msfm), nsa=bool(nsa))
            with torch.device("meta"):
                model = ref.Verdiff(cfg)
            cond, diff = split(model)
            print(f"{name:9} {msfm:4} {nsa:3} {cond:9,} {diff:12,} {cond + diff:12,}")
            if msfm and nsa:
                check(f"{name} parts", abs(cond - parts[0]) + abs(diff - parts[1]), 0)
            if not msfm and not nsa and name in NEITHER:
                check(f"{name} without MSFM and NSA", abs(cond + diff - NEITHER[name]), 0)
            if not msfm and not nsa and name == "full":
                millions = (cond + diff) / 1e6
                check("full without MSFM and NSA, millions", abs(millions - 137.04), 0.005)
    for name, widths in (("unit", 8 + 8), ("full", 128 + 128 + 128 + 256 + 256 + 512)):
        with torch.device("meta"):  # a 1x1 convolution to one map at the entry of every level
            model = ref.Verdiff(ref.config(name, nsa="sk"))
        more = widths + len(ref.CONFIGS[name].mult)
        check(f"{name} with nsa sk", abs(count(model) - sum(PARTS[name]) - more), 0)
    cfg = ref.config("full", nsa=False, fuse=False, scale_shift=False)
    with torch.device("meta"):
        ddpm = count(ref.DiffusionNet(cfg, in_channels=3, out_channels=3))
    check("DDPM-256, 113,673,219", abs(ddpm - 113673219), 0)


# ---- schedule and process ------------------------------------------------------------------------

APPENDIX = {  # t: beta, abar, gamma0, gamma1, gamma2, sigma2
    "linear": """
1 1.0000000000e-04 9.9990000000e-01 1.0000000000e+00 0.0000000000e+00 0.0000000000e+00 0.0000000000e+00
2 1.1991991992e-04 9.9978009207e-01 5.4529149951e-01 4.5470849899e-01 1.4991638437e-09 5.4531876613e-05
10 2.7927927928e-04 9.9810520479e-01 1.4727371743e-01 8.5272622610e-01 5.6466781572e-08 2.3818202782e-04
100 2.0720720721e-03 8.9701814567e-01 1.9076345317e-02 9.8089602132e-01 2.7633366231e-05 2.0345962595e-03
250 5.0600600601e-03 5.2408537383e-01 7.7166571823e-03 9.9188038451e-01 4.0295831247e-04 5.0317208679e-03
500 1.0040040040e-02 7.8587242882e-02 3.0700711143e-03 9.9410667021e-01 2.8232586756e-03 1.0031355415e-02
750 1.5020020020e-02 3.3505504389e-03 8.7896677427e-04 9.9241069801e-01 6.7103352129e-03 1.5019250026e-02
999 1.9980080080e-02 4.1181936381e-05 1.2952423623e-04 9.8995872349e-01 9.9117522727e-03 1.9980063304e-02
1000 2.0000000000e-02 4.0358297654e-05 1.2835148717e-04 9.8994867827e-01 9.9229702453e-03 1.9999983527e-02
""",
    "cosine": """
1 4.1284224822e-05 9.9995871578e-01 1.0000000000e+00 0.0000000000e+00 0.0000000000e+00 0.0000000000e+00
2 4.6141752737e-05 9.9991257593e-01 5.2778140933e-01 4.7221859043e-01 2.3812622083e-10 2.1789496146e-05
10 8.5011179342e-05 9.9936871840e-01 1.3462764458e-01 8.6537234962e-01 5.8072132470e-09 7.3569451190e-05
100 5.2690480886e-04 9.7209273711e-01 1.8620151663e-02 9.8137801840e-01 1.8299321787e-06 5.1722908040e-04
250 1.3214966366e-03 8.4701216133e-01 7.9550172372e-03 9.9201777126e-01 2.7211504883e-05 1.3118152144e-03
500 3.1458862305e-03 4.9384359044e-01 4.3745882261e-03 9.9535161947e-01 2.7379230168e-04 3.1361999041e-03
750 7.5457077420e-03 1.4427210239e-01 3.3620193808e-03 9.9494300048e-01 1.6949801403e-03 7.5360353004e-03
999 7.4999939290e-01 2.4287669070e-06 2.3376761898e-03 4.9999696395e-01 4.9766535986e-01 7.4999392818e-01
1000 9.9900000000e-01 2.4287669070e-09 1.5568917155e-03 3.1622699874e-02 9.6682040841e-01 9.9899757609e-01
""",
}
NAMES = ("beta", "abar", "gamma0", "gamma1", "gamma2", "sigma2")


def check_process():
    for kind, table in APPENDIX.items():
        tables = ref.schedule(kind)
        error = 0.0
        for line in table.split("\n")[1:-1]:
            t, *values = line.split()
            for name, value in zip(NAMES, values):
                want = float(value)
                error = max(error, abs(tables[name][int(t)] - want) / max(1e-9, abs(want)))
        check(f"{kind} table, relative", error, 1e-9)
        g = [tables[f"gamma{i}"][1:] for i in range(3)]
        check(f"{kind} gamma0 + gamma1 + gamma2 - 1", np.abs(g[0] + g[1] + g[2] - 1).max(), 1e-12)

    tables = ref.schedule()
    x, f, x0, t = 0.3, -0.2, 0.8, 500
    at, a250 = tables["abar"][t], tables["abar"][250]
    eps = ref.implied_noise(x, x0, f, at)
    check("one update: noise", abs(eps - 0.228841829), 1e-9)
    check("one update: DDPM mean", abs(ref.ddpm_mean(x, x0, f, tables, t) - 0.300123406), 1e-9)
    check("one update: DDIM", abs(ref.ddim_step(x, x0, f, at, a250) - 0.681807529), 1e-9)
    printed = ref.algorithm2_step(x, eps, tables, t, 0.0)
    check("one update: as printed", abs(printed - 0.299111778), 1e-9)

    # With the true x_0 and the noise that made x_t, here 1, the DDIM path keeps the marginal.
    grid = [500, 375, 250, 125, 0]
    x = ref.q_sample(x0, f, 1.0, tables["abar"][500])
    error = 0.0
    for t, s in zip(grid, grid[1:]):
        x = ref.ddim_step(x, x0, f, tables["abar"][t], tables["abar"][s])
        error = max(error, abs(x - ref.q_sample(x0, f, 1.0, tables["abar"][s])))
    check("DDIM with the true x_0 follows the marginals and ends at x_0", error, 1e-12)


# ---- network identities --------------------------------------------------------------------------


def scene(cfg, height, width):
    gen = torch.Generator().manual_seed(35)
    model = ref.Verdiff(cfg).double()
    for p in model.parameters():
        with torch.no_grad():
            p.add_(0.2 * torch.randn(p.shape, generator=gen, dtype=torch.float64))
    with torch.no_grad():  # a small foreground, so that the gates are not 1 everywhere
        model.cond.head.bias[0] += -2 if cfg.classes == 1 else 2
    image = torch.randn(2, cfg.image_channels, height, width, generator=gen, dtype=torch.float64)
    mask = torch.randint(0, max(2, cfg.classes), (2, height, width), generator=gen)
    eps = torch.randn(2, cfg.classes, height, width, generator=gen, dtype=torch.float64)
    return model, image, mask, eps


def check_identities():
    cfg = ref.config("unit")
    model, image, _, eps = scene(cfg, 16, 12)
    # A fresh model has a zero output convolution: one pass returns the clipped prior.
    fresh = ref.Verdiff(cfg).double()
    logits0, features0, p0 = fresh.prior(image)
    _, s = fresh.denoise(eps, p0, image, torch.tensor([500, 500]), *fresh.cache(features0, p0))
    check("at initialisation s = clip(prior)", (s - logits0.clamp(-4, 4)).abs().max().item(), 1e-12)

    # The scaled input has one size at every t: a state of plain rho + noise is divided by its own.
    size = {}
    plain = ref.Verdiff(ref.config("unit", norm_in=True)).double()
    plain.diff.register_forward_pre_hook(lambda m, inputs: size.update(u=inputs[0]))
    fused, gates = plain.cache(features0, p0)
    for t in (1, 500, 1000):
        rest = 1 - ref.schedule()["abar"][t]
        x = torch.full_like(eps, (plain.rho**2 + rest) ** 0.5)
        plain.denoise(x, p0, image, torch.tensor([t, t]), fused, gates)
        check(f"norm_in at t = {t}", (size["u"][:, :1] - 1).abs().max().item(), 1e-12)

    nsa, u = model.diff.enc1.nsa, torch.randn(2, 8, 8, 6, dtype=torch.float64)
    keep = [p.detach().clone() for p in nsa.dw5.parameters()]
    one = nsa(u, torch.ones(2, 1, 8, 6, dtype=torch.float64))
    with torch.no_grad():
        for p in nsa.dw5.parameters():
            p.zero_()
    check("gate 1 ignores the 5x5 branch",
          (nsa(u, torch.ones(2, 1, 8, 6, dtype=torch.float64)) - one).abs().max().item(), 0)
    with torch.no_grad():
        for p, value in zip(nsa.dw5.parameters(), keep):
            p.copy_(value)
    zero = nsa(u, torch.zeros(2, 1, 8, 6, dtype=torch.float64))
    with torch.no_grad():
        for p in nsa.dw3.parameters():
            p.zero_()
    check("gate 0 ignores the 3x3 branch",
          (nsa(u, torch.zeros(2, 1, 8, 6, dtype=torch.float64)) - zero).abs().max().item(), 0)


# ---- gradients -----------------------------------------------------------------------------------


def check_gradients(cfg, detach, title, t=(20, 400)):
    """Central differences. What the model detaches is held at its value: p_f, and the features."""
    model, image, mask, eps = scene(cfg, 16, 12)
    target = ref.one_hot(mask, cfg.classes)
    t, tables = torch.tensor(t), ref.schedule()
    abar = ref.per_image(tables["abar"], t)
    with torch.no_grad():
        _, frozen, p_f = model.prior(image)

    def total():
        logits, features, _ = model.prior(image)
        fused, gates = model.cache(frozen if detach else features, p_f, detach)
        x = model.noised(target, p_f, eps, abar)
        _, s = model.denoise(x, p_f, image, t, fused, gates)
        return ref.losses(model, s, x, p_f, logits, target, eps, tables, t)["total"]

    total().backward()
    gen = torch.Generator().manual_seed(1)
    worst, step = 0.0, 1e-6  # small, so that hardly any ReLU or maximum changes sides
    for name, _, _, p in ref.named_parameters(model):
        flat, grad = p.data.view(-1), p.grad.view(-1)
        i = torch.randint(0, flat.numel(), (1,), generator=gen).item()
        value = flat[i].item()
        with torch.no_grad():
            flat[i] = value + step
            up = total()
            flat[i] = value - step
            down = total()
            flat[i] = value
        numeric = ((up - down) / (2 * step)).item()
        scale = max(abs(numeric), p.grad.abs().max().item(), 1e-4)
        error = abs(numeric - grad[i].item()) / scale
        if error > 1e-5:
            print(f"     {name}[{i}]: {grad[i].item():.9g}, by differences {numeric:.9g}")
        worst = max(worst, error)
    check(f"gradients, {title}, one element of every tensor", worst, 1e-5)


def main():
    torch.manual_seed(35)
    check_counts()
    check_process()
    check_identities()
    check_gradients(ref.config("unit"), True, "K = 1")
    check_gradients(ref.config("unit", classes=3), False, "K = 3, not detached")
    check_gradients(ref.config("unit", param="paper_literal"), True, "paper_literal")
    check_gradients(ref.config("unit", param="eps_bce", fuse="stem_add"), True, "eps_bce")
    check_gradients(ref.config("unit", process="bernoulli", nsa="k3", nsa_wrap="literal",
                               msff="cascade"), True, "flips")
    check_gradients(ref.config("unit", nsa="sk", norm_in=True, msfm_norm="none"), True,
                    "nsa sk, norm_in, msfm_norm none")
    print(f"{len(failures)} failed" if failures else "all passed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
