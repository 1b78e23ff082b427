"""Verdiff-Net in plain PyTorch: the network, its losses, its process and its samplers.

An oracle for the C library and nothing else: written from the equations of the specification, it
shares no code with the library and is never needed to build, run or test it. It favours one obvious
line over a fast one, works in whatever precision the model is cast to (the golden files use
float64) and follows PyTorch's own layout inside: activations (N, C, H, W). make_golden.py turns
that into the NHWC layout of the files.

Attribute names are chosen so that `Verdiff(...).named_parameters()` yields the tensor names of the
model files: cond.enc0.conv0.weight, diff.mid.att.qkv.bias, diff.enc1.nsa.lambda, ...

Notation: N images, K mask channels (1 = binary with a sigmoid, > 1 = softmax with channel 0 the
background), Cb image channels, t in 1..T, a_t = 1 - beta_t, A_t = prod a_s (abar in the code).
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

LEAKY_SLOPE = 0.01
NORM_EPS = 1e-5
GATE_TAU = 0.2
LOGIT_CLIP = 4.0


# ---- configurations ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Config:
    name: str
    cond_channels: tuple  # F, condition net, highest resolution first
    convs: int            # convolutions per stage of the condition net
    squeeze: int          # d of the MSFM
    base: int             # B, diffusion net
    mult: tuple
    blocks: int           # R, residual blocks per encoder level
    stem_down: int        # pixel-unshuffle factor of the stem
    attention_ds: tuple   # down-sampling factors with attention in their blocks (the middle always)
    head_dim: int
    pad_multiple: int
    classes: int = 1      # K
    image_channels: int = 1
    msfm: bool = True
    msfm_norm: str = "ln"     # or none
    msff: str = "none"        # none, cascade, dilated, aspp
    nsa: object = True        # mask_soft; False = none; or mask_hard, k3, k5, sk
    nsa_gate: str = "per_branch"  # or shared
    nsa_wrap: str = "residual"    # or literal
    fuse: object = True       # level_add; False = "concat", nothing beyond the input concatenation;
                              # "stem_add" = features behind the stem, as MedSegDiff-V2
    scale_shift: bool = True  # False = the time embedding is added before the second norm
    param: str = "x0"         # x0, eps, eps_bce, paper_literal
    process: str = "shifted"  # shifted, ddpm, bernoulli
    learn_sigma: bool = False # K more output channels: the variance of a step
    prior_hard: bool = False  # the prior given to the process is 0 or 1
    norm_in: bool = False     # the net reads x_t / sqrt(rho^2 + 1 - A_t)

    @property
    def zero_one(self):
        """Masks are coded 0 and 1, not plus and minus rho."""
        return self.param == "paper_literal" or self.process == "bernoulli"

    @property
    def gives_mask(self):
        """The output are mask logits."""
        return self.param == "x0" and self.process != "bernoulli"

    @property
    def level_channels(self):
        return [self.base * m for m in self.mult]

    def level_ds(self, level):
        return self.stem_down * 2**level


CONFIGS = {c.name: c for c in (
    Config("unit", (4, 8), 1, 4, 8, (1, 2), 1, 1, (), 8, 2),
    Config("tiny", (8, 16, 32, 48, 64), 2, 8, 16, (1, 2, 3, 4), 1, 2, (), 32, 16),
    Config("small", (16, 32, 64, 128, 128), 2, 16, 32, (1, 2, 3, 4), 1, 2, (), 32, 16),
    Config("base", (32, 64, 128, 256, 256), 2, 32, 64, (1, 2, 2, 4, 4), 1, 1, (16,), 64, 16),
    Config("full", (32, 64, 128, 256, 480, 480), 2, 32, 128, (1, 1, 2, 2, 4, 4), 2, 1, (16,), 64,
           32),
)}


def config(name, **changes):
    return replace(CONFIGS[name], **changes)


# ---- pieces --------------------------------------------------------------------------------------


def group_count(channels):
    """Largest g in {32, 16, 8, 4, 2, 1} dividing the channels with 4 or more in a group, or 1."""
    fits = (g for g in (32, 16, 8, 4, 2) if channels % g == 0 and channels // g >= 4)
    return next(fits, 1)


class GroupNorm(nn.Module):
    def __init__(self, channels, groups=None):
        super().__init__()
        self.groups = groups or group_count(channels)
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        return F.group_norm(x, self.groups, self.gamma, self.beta, NORM_EPS)


def instance_norm(channels):
    """Statistics per image and channel: a group norm whose groups hold one channel."""
    return GroupNorm(channels, channels)


class LayerNorm(nn.Module):
    """Over the d values of a vector, (N, d)."""

    def __init__(self, size):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(size))
        self.beta = nn.Parameter(torch.zeros(size))

    def forward(self, x):
        return F.layer_norm(x, self.gamma.shape, self.gamma, self.beta, NORM_EPS)


def conv(ci, co, k, bias=True, **kwargs):
    return nn.Conv2d(ci, co, k, padding=k // 2, bias=bias, **kwargs)


def zeroed(module):
    """Set every parameter of a module to zero, so that its branch starts as the identity."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


# ---- condition net -------------------------------------------------------------------------------


class MSFM(nn.Module):
    """Multi-scale fusion: 3x3, 5x5 and 7x7 branches, mixed per channel by a softmax over the three.

    U_k = ReLU(norm(conv_k(b))),  s = mean_hw(U_3 + U_5 + U_7),  z = ELU(LN(W_z s)),
    (a, b, c) = softmax over branches of (A z, B z, C z),  X = a U_3 + b U_5 + c U_7
    """

    KERNELS = (3, 5, 7)

    def __init__(self, image_channels, channels, squeeze, normed=True):
        super().__init__()
        for k in self.KERNELS:
            setattr(self, f"conv{k}", conv(image_channels, channels, k, bias=False))
            setattr(self, f"norm{k}", instance_norm(channels))
        self.squeeze = nn.Linear(channels, squeeze, bias=False)
        self.norm = LayerNorm(squeeze) if normed else nn.Identity()
        self.select = nn.Linear(squeeze, 3 * channels, bias=False)

    def forward(self, image):
        branches = torch.stack([
            F.relu(getattr(self, f"norm{k}")(getattr(self, f"conv{k}")(image)))
            for k in self.KERNELS
        ], dim=1)  # (N, 3, C, H, W)
        s = branches.sum(dim=1).mean(dim=(2, 3))
        z = F.elu(self.norm(self.squeeze(s)))
        logits = self.select(z).reshape(len(z), 3, -1)  # rows of the weight are branch-major
        weights = torch.softmax(logits, dim=1)
        return (weights[:, :, :, None, None] * branches).sum(dim=1)


class Stage(nn.Module):
    """`count` times: 3x3 convolution without bias, instance norm, LeakyReLU 0.01."""

    def __init__(self, ci, co, count):
        super().__init__()
        self.count = count
        for j in range(count):
            setattr(self, f"conv{j}", conv(ci if j == 0 else co, co, 3, bias=False))
            setattr(self, f"norm{j}", instance_norm(co))

    def forward(self, x):
        for j in range(self.count):
            x = getattr(self, f"norm{j}")(getattr(self, f"conv{j}")(x))
            x = F.leaky_relu(x, LEAKY_SLOPE)
        return x


class ConvNormAct(nn.Module):
    """Convolution without bias (dilated), instance norm, LeakyReLU 0.01."""

    def __init__(self, ci, co, k, dilation=1):
        super().__init__()
        pad = dilation * (k // 2)
        self.conv = nn.Conv2d(ci, co, k, padding=pad, dilation=dilation, bias=False)
        self.norm = instance_norm(co)

    def forward(self, x):
        return F.leaky_relu(self.norm(self.conv(x)), LEAKY_SLOPE)


class MSFF(nn.Module):
    """Fusion at the bottleneck: three receptive fields and the whole image, gated per channel.

    r = CNA1(x);  u_k = CNA3 in a row or side by side;  v = ReLU(Linear GAP x)
    y = GN(conv1(cat[r, u_1, u_2, u_3, v]));  out = x + sigmoid(Linear ReLU Linear GAP y) y
    """

    RATES = {"cascade": (1, 1, 1), "dilated": (1, 2, 4), "aspp": (6, 12, 18)}

    def __init__(self, kind, channels):
        super().__init__()
        q = channels // 4
        self.kind = kind
        self.reduce = ConvNormAct(channels, q, 1)
        for k, rate in enumerate(self.RATES[kind]):
            setattr(self, f"scale{k}", ConvNormAct(q, q, 3, rate))
        setattr(self, "global", nn.Linear(channels, q))
        self.join = conv(4 * q, channels, 1, bias=False)
        self.join_global = nn.Linear(q, channels, bias=False)  # conv1's columns for v
        self.norm = GroupNorm(channels)
        self.squeeze = nn.Linear(channels, q)
        self.gate = nn.Linear(q, channels)

    def forward(self, x):
        r = self.reduce(x)
        parts = [r]
        for k in range(3):
            parts.append(getattr(self, f"scale{k}")(parts[-1] if self.kind == "cascade" else r))
        v = F.relu(getattr(self, "global")(x.mean(dim=(2, 3))))
        weight = torch.cat([self.join.weight[:, :, 0, 0], self.join_global.weight], dim=1)
        wide = v[:, :, None, None].expand(-1, -1, *x.shape[2:])
        y = self.norm(torch.einsum("oc,nchw->nohw", weight, torch.cat([*parts, wide], dim=1)))
        a = torch.sigmoid(self.gate(F.relu(self.squeeze(y.mean(dim=(2, 3))))))
        return x + a[:, :, None, None] * y


class ConditionNet(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        ch = cfg.cond_channels
        self.depth = len(ch) - 1
        if cfg.msfm:
            self.msfm = MSFM(cfg.image_channels, ch[0], cfg.squeeze, cfg.msfm_norm == "ln")
        first = ch[0] if cfg.msfm else cfg.image_channels
        for i, c in enumerate(ch):
            setattr(self, f"enc{i}", Stage(first if i == 0 else ch[i - 1], c, cfg.convs))
        for i in range(self.depth):
            setattr(self, f"dec{i}", Stage(ch[i + 1] + ch[i], ch[i], cfg.convs))
        if cfg.msff != "none":
            self.msff = MSFF(cfg.msff, ch[-1])
        self.head = conv(ch[0], cfg.classes, 1)
        self.init_weights()

    def init_weights(self):
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=LEAKY_SLOPE)

    def forward(self, image):
        """image (N, Cb, H, W) -> prior logits (N, K, H, W), features [c_0 .. c_L]."""
        x = self.msfm(image) if hasattr(self, "msfm") else image
        encoded = []
        for i in range(self.depth + 1):
            x = getattr(self, f"enc{i}")(x if i == 0 else F.max_pool2d(x, 2))
            encoded.append(x)
        if hasattr(self, "msff"):
            x = self.msff(x)
        features = [x]
        for i in reversed(range(self.depth)):
            up = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = getattr(self, f"dec{i}")(torch.cat([up, encoded[i]], dim=1))
            features.insert(0, x)
        return self.head(x), features


# ---- diffusion net -------------------------------------------------------------------------------


def time_features(t, size):
    """[cos((t - 1) w_i), sin((t - 1) w_i)], w_i = 10000^(-i / (size / 2)), for t (N) in 1..T."""
    half = size // 2
    omega = torch.tensor([10000.0 ** (-i / half) for i in range(half)], dtype=torch.float64)
    angle = (t.double() - 1)[:, None] * omega
    return torch.cat([angle.cos(), angle.sin()], dim=1)


class TimeMLP(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base = base
        self.linear0 = nn.Linear(base, 4 * base)
        self.linear1 = nn.Linear(4 * base, 4 * base)

    def forward(self, t):
        e = time_features(t, self.base).to(self.linear0.weight.dtype)
        return self.linear1(F.silu(self.linear0(e)))


class ResBlock(nn.Module):
    """h = conv0(SiLU(GN(x))); h = conv1(SiLU(GN(h) (1 + scale) + shift)); out = h + skip(x)."""

    def __init__(self, ci, co, embedding, scale_shift=True):
        super().__init__()
        self.scale_shift = scale_shift
        self.norm0 = GroupNorm(ci)
        self.conv0 = conv(ci, co, 3)
        self.emb = nn.Linear(embedding, 2 * co if scale_shift else co)
        self.norm1 = GroupNorm(co)
        self.conv1 = zeroed(conv(co, co, 3))
        if ci != co:
            self.skip = conv(ci, co, 1)

    def forward(self, x, e):
        h = self.conv0(F.silu(self.norm0(x)))
        emb = self.emb(F.silu(e))[:, :, None, None]
        if self.scale_shift:
            scale, shift = emb.chunk(2, dim=1)
            h = self.norm1(h) * (1 + scale) + shift
        else:
            h = self.norm1(h + emb)
        h = self.conv1(F.silu(h))
        return h + (self.skip(x) if hasattr(self, "skip") else x)


class Attention(nn.Module):
    """Self-attention over all pixels; qkv rows are q, k, v, the heads contiguous inside each."""

    def __init__(self, channels, head_dim):
        super().__init__()
        self.heads = channels // head_dim
        self.norm = GroupNorm(channels)
        self.qkv = conv(channels, 3 * channels, 1)
        self.proj = zeroed(conv(channels, channels, 1))

    def attend(self, q, k, v):
        """(N, heads, tokens, head_dim) each."""
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        return torch.softmax(scores, dim=-1) @ v

    def forward(self, x):
        n, c, h, w = x.shape
        qkv = self.qkv(self.norm(x)).reshape(n, 3, self.heads, c // self.heads, h * w)
        q, k, v = qkv.transpose(-1, -2).unbind(dim=1)
        o = self.attend(q, k, v).transpose(-1, -2).reshape(n, c, h, w)
        return x + self.proj(o)


class NSA(nn.Module):
    """Noise semantic adapter; k3 and k5 have one kernel in place of f, sk has g = sigmoid(1x1 n), the
    literal wrap has n = u and gives V, the shared gate has T_0 = T_1.

    n = GN(u);  f = g DW3(n) + (1 - g) DW5(n);  s = DW7,dil3(f);  f', s' = 1x1 to C/2 each
    T = sigmoid(conv7([mean_c, max_c] of cat[f', s']))
    V = expand(f' T_0 + s' T_1) n;  out = u + lambda V
    """

    def __init__(self, channels, cfg):
        super().__init__()
        half = channels // 2
        self.kind, self.literal = cfg.nsa, cfg.nsa_wrap == "literal"
        if not self.literal:
            self.norm = GroupNorm(channels)
        if cfg.nsa != "k5":
            self.dw3 = conv(channels, channels, 3, groups=channels)
        if cfg.nsa != "k3":
            self.dw5 = conv(channels, channels, 5, groups=channels)
        if cfg.nsa == "sk":
            self.select = conv(channels, 1, 1)
        self.dw7 = nn.Conv2d(channels, channels, 7, padding=9, dilation=3, groups=channels)
        self.reduce_f = conv(channels, half, 1)
        self.reduce_s = conv(channels, half, 1)
        self.gate = conv(2, 1 if cfg.nsa_gate == "shared" else 2, 7)
        self.expand = conv(half, channels, 1)
        if not self.literal:
            self.register_parameter("lambda", nn.Parameter(torch.full((channels,), 1e-2)))

    def fine_or_coarse(self, n, g):
        if self.kind == "k3":
            return self.dw3(n)
        if self.kind == "k5":
            return self.dw5(n)
        if self.kind == "sk":
            g = torch.sigmoid(self.select(n))
        return g * self.dw3(n) + (1 - g) * self.dw5(n)

    def forward(self, u, g):
        """u (N, C, h, w), g (N, 1, h, w): 1 takes the 3x3 branch, 0 the 5x5 branch."""
        n = u if self.literal else self.norm(u)
        f = self.fine_or_coarse(n, g)
        s = self.dw7(f)
        f, s = self.reduce_f(f), self.reduce_s(s)
        a = torch.cat([f, s], dim=1)
        m = torch.cat([a.mean(dim=1, keepdim=True), a.max(dim=1, keepdim=True).values], dim=1)
        t = torch.sigmoid(self.gate(m))
        v = self.expand(f * t[:, :1] + s * t[:, -1:]) * n
        if self.literal:
            return v
        return u + getattr(self, "lambda")[:, None, None] * v


def nsa_gates(foreground, cfg):
    """Soft gates, one per level (N, 1, h, w), from the foreground probability (N, 1, H, W).

    o = mean over the 5x5 neighbourhood (zeros outside, divisor 25) of the probability averaged to
    the level's resolution; g = min(1, o / 0.2).
    """
    gates = []
    for level in range(len(cfg.mult)):
        p = F.avg_pool2d(foreground, cfg.level_ds(level))
        o = F.avg_pool2d(p, 5, stride=1, padding=2, divisor_override=25)
        hard = cfg.nsa == "mask_hard"
        gates.append((o >= 0.02).to(o.dtype) if hard else torch.clamp(o / GATE_TAU, max=1.0))
    return gates


class EncoderLevel(nn.Module):
    """Norms, blocks and the down-sampling of one level; DiffusionNet.forward runs them."""

    def __init__(self, cfg, level, ci, co):
        super().__init__()
        embedding = 4 * cfg.base
        if cfg.nsa:
            self.nsa = NSA(ci, cfg)
        for r in range(cfg.blocks):
            setattr(self, f"res{r}", ResBlock(ci if r == 0 else co, co, embedding, cfg.scale_shift))
            if cfg.level_ds(level) in cfg.attention_ds:
                setattr(self, f"att{r}", Attention(co, cfg.head_dim))
        if level + 1 < len(cfg.mult):
            self.down = conv(co, co, 3, stride=2)


class DecoderLevel(nn.Module):
    def __init__(self, cfg, level, inputs, co):
        super().__init__()
        for r, ci in enumerate(inputs):
            setattr(self, f"res{r}", ResBlock(ci, co, 4 * cfg.base, cfg.scale_shift))
            if cfg.level_ds(level) in cfg.attention_ds:
                setattr(self, f"att{r}", Attention(co, cfg.head_dim))
        if level > 0:
            self.up = conv(co, co, 3)


class Middle(nn.Module):
    def __init__(self, cfg, channels):
        super().__init__()
        self.res0 = ResBlock(channels, channels, 4 * cfg.base, cfg.scale_shift)
        self.att = Attention(channels, cfg.head_dim)
        self.res1 = ResBlock(channels, channels, 4 * cfg.base, cfg.scale_shift)

    def forward(self, h, e):
        return self.res1(self.att(self.res0(h, e)), e)


class Output(nn.Module):
    def __init__(self, ci, co):
        super().__init__()
        self.norm = GroupNorm(ci)
        self.conv = zeroed(conv(ci, co, 3))

    def forward(self, h):
        return self.conv(F.silu(self.norm(h)))


class DiffusionNet(nn.Module):
    """`in_channels` and `out_channels` default to 2K + Cb (x_t, f, b) and K."""

    def __init__(self, cfg, in_channels=None, out_channels=None):
        super().__init__()
        self.cfg = cfg
        base, channels, area = cfg.base, cfg.level_channels, cfg.stem_down**2
        entering = [base] + channels[:-1]  # channels at the entry of each encoder level
        self.levels = len(channels)
        if cfg.fuse == "stem_add":
            first = int(math.log2(cfg.stem_down))
            ci = 2 * cfg.cond_channels[first] + cfg.cond_channels[first + 1]
            if ci != base:
                self.fuse0 = conv(ci, base, 1)
        elif cfg.fuse:
            for level, co in enumerate(entering):
                ci = cfg.cond_channels[level + int(math.log2(cfg.stem_down))]
                setattr(self, f"fuse{level}", conv(ci, co, 1))
        self.time = TimeMLP(base)
        in_channels = in_channels or 2 * cfg.classes + cfg.image_channels
        self.stem = conv(in_channels * area, base, 3)

        skips = [base]
        for level, co in enumerate(channels):
            setattr(self, f"enc{level}", EncoderLevel(cfg, level, entering[level], co))
            skips += [co] * (cfg.blocks + (level + 1 < self.levels))
        self.mid = Middle(cfg, channels[-1])
        ch = channels[-1]
        for level in reversed(range(self.levels)):
            co, inputs = channels[level], []
            for _ in range(cfg.blocks + 1):
                inputs.append(ch + skips.pop())
                ch = co
            setattr(self, f"dec{level}", DecoderLevel(cfg, level, inputs, co))
        out_channels = out_channels or cfg.classes * (2 if cfg.learn_sigma else 1)
        self.out = Output(ch, out_channels * area)

    def project(self, features):
        """Fuse projections P_l of the condition features [c_0 ..], one per level; stem_add: one."""
        offset = int(math.log2(self.cfg.stem_down))
        if self.cfg.fuse == "stem_add":
            near, far = features[offset], features[offset + 1]
            up = F.interpolate(far, scale_factor=2, mode="bilinear", align_corners=False)
            both = torch.cat([near, near, up], dim=1)
            return [self.fuse0(both) if hasattr(self, "fuse0") else both]
        return [getattr(self, f"fuse{i}")(features[i + offset]) for i in range(self.levels)]

    def forward(self, u, t, fused=None, gates=None):
        """u = cat[x_t, f, b] (N, 2K + Cb, H, W), t (N) in 1..T -> s_net (N, K, H, W)."""
        cfg, e = self.cfg, self.time(t)
        h = self.stem(F.pixel_unshuffle(u, cfg.stem_down))
        skips = [h]
        for i in range(self.levels):
            level = getattr(self, f"enc{i}")
            if cfg.fuse and i < len(fused):
                h = h + fused[i]
            if cfg.nsa:
                h = level.nsa(h, gates[i])
            for r in range(cfg.blocks):
                h = getattr(level, f"res{r}")(h, e)
                if hasattr(level, f"att{r}"):
                    h = getattr(level, f"att{r}")(h)
                skips.append(h)
            if hasattr(level, "down"):
                h = level.down(h)
                skips.append(h)
        h = self.mid(h, e)
        for i in reversed(range(self.levels)):
            level = getattr(self, f"dec{i}")
            for r in range(cfg.blocks + 1):
                h = getattr(level, f"res{r}")(torch.cat([h, skips.pop()], dim=1), e)
                if hasattr(level, f"att{r}"):
                    h = getattr(level, f"att{r}")(h)
            if hasattr(level, "up"):
                h = level.up(F.interpolate(h, scale_factor=2, mode="nearest"))
        assert not skips
        return F.pixel_shuffle(self.out(h), cfg.stem_down)


def hard(p):
    """0 or 1: the likelier side; for several classes the likeliest."""
    if p.shape[1] == 1:
        return (p > 0.5).to(p.dtype)
    return F.one_hot(p.argmax(dim=1), p.shape[1]).permute(0, 3, 1, 2).to(p.dtype)


class Verdiff(nn.Module):
    """Both nets."""

    def __init__(self, cfg, rho=0.3):
        super().__init__()
        self.cfg, self.rho = cfg, rho
        self.cond = ConditionNet(cfg)
        self.diff = DiffusionNet(cfg)

    def prior(self, image):
        """Prior logits, features, and the detached probability p_f (N, K, H, W)."""
        logits, features = self.cond(image)
        p_f = probabilities(logits).detach()
        return logits, features, hard(p_f) if self.cfg.prior_hard else p_f

    def cache(self, features, p_f, detach=True):
        """What every denoising step shares: the projections P_l and the NSA gates."""
        if detach:
            features = [c.detach() for c in features]
        fused = self.diff.project(features) if self.cfg.fuse else None
        foreground = p_f if self.cfg.classes == 1 else 1 - p_f[:, :1]
        return fused, nsa_gates(foreground, self.cfg) if self.cfg.nsa else None

    def code(self, p):
        """Masks or probabilities into diffusion space: rho (2 p - 1), or p itself."""
        return p if self.cfg.zero_one else self.rho * (2 * p - 1)

    def noised(self, target, p_f, eps, abar):
        """x_t; flips are coins of uniform numbers Phi(eps)."""
        if self.cfg.process == "bernoulli":
            return coins(abar * target + (1 - abar) * p_f, eps)
        f = self.code(p_f)
        return q_sample(self.code(target), f if self.cfg.process == "shifted" else 0 * f, eps, abar)

    def denoise(self, x, p_f, image, t, fused, gates):
        """s_net and the output s: mask logits with the prior skip; in the other modes s_net."""
        if self.cfg.norm_in:
            x = x / (self.rho**2 + 1 - per_image(schedule()["abar"], t)).sqrt().to(x.dtype)
        u = torch.cat([x, self.code(p_f), image], dim=1)
        s_net = self.diff(u, t, fused, gates)
        return s_net, s_net + prior_skip(p_f) if self.cfg.gives_mask else s_net


def named_parameters(model):
    """(file name, module, attribute, parameter), in the order of creation."""
    for path, module in model.named_modules():
        for attribute, parameter in module.named_parameters(recurse=False):
            yield f"{path}.{attribute}", module, attribute, parameter


# ---- heads and losses ----------------------------------------------------------------------------


def probabilities(logits):
    return torch.sigmoid(logits) if logits.shape[1] == 1 else torch.softmax(logits, dim=1)


def prior_skip(p_f):
    """clip(logit(p_f), -4, 4) for one channel, clip(log p_f, -4, 4) for several."""
    value = torch.log(p_f) - torch.log1p(-p_f) if p_f.shape[1] == 1 else torch.log(p_f)
    return value.clamp(-LOGIT_CLIP, LOGIT_CLIP)


def one_hot(mask, classes):
    """(N, H, W) class indices -> (N, K, H, W); for K = 1 the mask itself."""
    if classes == 1:
        return mask[:, None].double()
    return F.one_hot(mask.long(), classes).permute(0, 3, 1, 2).double()


def cross_entropy(logits, target):
    """BCE with logits (K = 1) or softmax cross entropy: mean over pixels, then over images."""
    if logits.shape[1] == 1:
        value = F.softplus(logits) - target * logits
    else:
        value = -(target * torch.log_softmax(logits, dim=1)).sum(dim=1, keepdim=True)
    return value.mean(dim=(1, 2, 3)).mean()


def soft_dice(p, target):
    """Mean over images and (foreground) channels of 1 - (2 sum pm + 1) / (sum p + sum m + 1)."""
    if p.shape[1] > 1:
        p, target = p[:, 1:], target[:, 1:]
    overlap, total = (p * target).sum(dim=(2, 3)), p.sum(dim=(2, 3)) + target.sum(dim=(2, 3))
    return (1 - (2 * overlap + 1) / (total + 1)).mean(dim=1).mean()


def weighted_square(p, target, weight):
    """Mean of 4 weight (m - p)^2 over channels and pixels, then over images; weight (N)."""
    return (4 * weight * (target - p).square().mean(dim=(1, 2, 3))).mean()


LOSS_TERMS = ("total", "simple", "seg", "dice", "prior_bce", "prior_dice")


def mean(value):
    """Over channels and pixels, then over images."""
    return value.mean(dim=(1, 2, 3)).mean()


def epsilon_losses(cfg, z, target, eps, rho, tables, t):
    """simple = w (eps - z)^2, w = min(S, 5) / S; seg (eps_bce) = A_t BCE(m, p) with the mask p that z
    means, cut to [1e-4, 1 - 1e-4]; dice = the variational bound of the learned variance, nats."""
    k = cfg.classes
    z, v = z[:, :k], z[:, k:]
    table = lambda name: per_image(tables[name], t).to(z.dtype)
    abar, before = table("abar"), per_image(tables["abar"], t - 1).to(z.dtype)
    snr = rho**2 * abar / (1 - abar)
    zero = torch.zeros((), dtype=z.dtype)
    simple = mean(torch.clamp(5 / snr, max=1) * (eps - z).square())
    # from x_t itself, as the sampler does; f drops out of the difference and is left at 0
    x = abar.sqrt() * rho * (2 * target - 1) + (1 - abar).sqrt() * eps
    x0 = (x - (1 - abar).sqrt() * z) / abar.sqrt()
    p = ((x0 / rho + 1) / 2).clamp(1e-4, 1 - 1e-4)
    seg = mean(abar * F.binary_cross_entropy(p, target, reduction="none"))
    bound = zero
    if cfg.learn_sigma:
        gamma0, beta = table("gamma0"), table("beta")
        true = per_image(tables["sigma2"], t.clamp(min=2)).to(z.dtype)
        log_variance = (v + 1) / 2 * beta.log() + (1 - (v + 1) / 2) * true.log()
        gap = gamma0 * (rho * (2 * target - 1) - x0.detach())
        kl = 0.5 * (log_variance - true.log() + (true + gap**2) / log_variance.exp() - 1)
        nll = 0.5 * (math.log(2 * math.pi) + log_variance + gap**2 / log_variance.exp())
        bound = mean(torch.where((t == 1)[:, None, None, None], nll, kl))
    return simple, seg if cfg.param == "eps_bce" else zero, bound


def coins(p, eps):
    """1 with probability p: where the uniform number Phi(eps) is below it."""
    return (torch.special.ndtr(eps) < p).to(p.dtype)


def flip_losses(z, x, f, target, tables, t):
    """simple = KL of the posteriors of x_{t-1} given x and the true or the estimated mask,
    seg = BCE(|x - m|, sigmoid(z))."""
    alpha = per_image(tables["alpha"], t).to(z.dtype)
    before = per_image(tables["abar"], t - 1).to(z.dtype)
    flips = torch.sigmoid(z)

    def posterior(clean):
        mu = before * clean + (1 - before) * f
        to_x = lambda from_one: torch.where(x > 0, from_one, 1 - from_one)
        one, none = mu * to_x(alpha + (1 - alpha) * f), (1 - mu) * to_x((1 - alpha) * f)
        return one / (one + none)

    p, q = posterior(target), posterior((x - flips).abs())
    kl = torch.xlogy(p, p) - torch.xlogy(p, q) + torch.xlogy(1 - p, 1 - p) - torch.xlogy(1 - p, 1 - q)
    return mean(kl), mean(F.binary_cross_entropy_with_logits(z, (x - target).abs(),
                                                             reduction="none"))


def losses(model, s, x, p_f, prior_logits, target, eps, tables, t):
    """Every term of LOSS_TERMS, all weights 1. snr (N) = rho^2 A_t / (1 - A_t), clipped at 5 here.

    literal: simple = mean (eps - z)^2, seg = mean (softplus(z) - eps z), no dice.
    """
    cfg = model.cfg
    abar = per_image(tables["abar"], t).flatten()
    snr = (model.rho**2 * abar / (1 - abar)).to(s.dtype)
    if cfg.process == "bernoulli":
        simple, seg = flip_losses(s, x, p_f, target, tables, t)
        dice = torch.zeros_like(seg)
    elif cfg.param in ("eps", "eps_bce"):
        simple, seg, dice = epsilon_losses(cfg, s, target, eps, model.rho, tables, t)
    elif cfg.param == "paper_literal":
        simple = (eps - s).square().mean(dim=(1, 2, 3)).mean()
        seg = (F.softplus(s) - eps * s).mean(dim=(1, 2, 3)).mean()
        dice = torch.zeros_like(seg)
    else:
        p = probabilities(s)
        simple = weighted_square(p, target, snr.clamp(max=5.0))
        seg = cross_entropy(s, target)
        dice = soft_dice(p, target)
    prior_bce = cross_entropy(prior_logits, target)
    prior_dice = soft_dice(probabilities(prior_logits), target)
    terms = dict(simple=simple, seg=seg, dice=dice, prior_bce=prior_bce, prior_dice=prior_dice)
    return dict(total=sum(terms.values()), **terms)


# ---- process and samplers ------------------------------------------------------------------------


def schedule(kind="linear", steps=1000):
    """beta, alpha, abar, gamma0..2, sigma2: double arrays indexed by t = 0..T, abar[0] = 1."""
    t = np.arange(1, steps + 1)
    if kind == "linear":
        if steps <= 20:
            raise ValueError(f"linear schedule with T = {steps}, needs T > 20")
        beta = np.linspace(1e-4 * 1000 / steps, 0.02 * 1000 / steps, steps)
    elif kind == "cosine":
        g = lambda u: np.cos((u + 0.008) / 1.008 * np.pi / 2) ** 2
        beta = np.minimum(0.999, 1 - g(t / steps) / g((t - 1) / steps))
    else:
        raise ValueError(f"schedule {kind!r}, needs linear or cosine")
    beta = np.concatenate([[0.0], beta])
    alpha = 1 - beta
    abar = np.cumprod(alpha)
    before, rest = abar[:-1], 1 - abar[1:]
    gamma0 = np.sqrt(before) * beta[1:] / rest
    gamma1 = np.sqrt(alpha[1:]) * (1 - before) / rest
    gamma2 = (1 - np.sqrt(alpha[1:])) * (1 - np.sqrt(before)) / (1 + np.sqrt(abar[1:]))
    sigma2 = beta[1:] * (1 - before) / rest
    first = lambda a: np.concatenate([[0.0], a])
    return dict(beta=beta, alpha=alpha, abar=abar, gamma0=first(gamma0), gamma1=first(gamma1),
                gamma2=first(gamma2), sigma2=first(sigma2))


def per_image(table, t):
    """Values of a schedule array at t (N), shaped (N, 1, 1, 1)."""
    return torch.from_numpy(table)[t][:, None, None, None]


def q_sample(x0, f, eps, abar):
    """x_t = sqrt(A) x_0 + (1 - sqrt(A)) f + sqrt(1 - A) eps."""
    return abar**0.5 * x0 + (1 - abar**0.5) * f + (1 - abar) ** 0.5 * eps


def implied_noise(x, x0, f, abar):
    return (x - f - abar**0.5 * (x0 - f)) / (1 - abar) ** 0.5


def ddpm_mean(x, x0, f, tables, t):
    return tables["gamma0"][t] * x0 + tables["gamma1"][t] * x + tables["gamma2"][t] * f


def ddim_step(x, x0, f, abar_t, abar_s):
    """Deterministic step (eta = 0) from A_t to A_s; A_s = 1 gives x_0."""
    if abar_s == 1.0:
        return x0
    return f + abar_s**0.5 * (x0 - f) + (1 - abar_s) ** 0.5 * implied_noise(x, x0, f, abar_t)


def decode(x, z, f, abar, rho):
    """The mask code that a noise estimate means, cut to the code's range."""
    return (f + (x - f - (1 - abar) ** 0.5 * z) / abar**0.5).clamp(-rho, rho)


def learned_step(x, x0, f, v, abar_t, abar_s, noise):
    """Ancestral step with log variance between the posterior's (v = -1) and the forward process's."""
    if abar_s == 1.0:
        return x0
    beta = 1 - abar_t / abar_s
    true = beta * (1 - abar_s) / (1 - abar_t)
    rest = (1 - abar_s - true) ** 0.5
    mean = f + abar_s**0.5 * (x0 - f) + rest * implied_noise(x, x0, f, abar_t)
    log_variance = (v + 1) / 2 * math.log(beta) + (1 - (v + 1) / 2) * math.log(true)
    return mean + (0.5 * log_variance).exp() * noise


def flip_step(x, clean, abar_t, abar_s, noise):
    if abar_s == 1.0:
        return clean
    kappa = (1 - abar_s) / (1 - abar_t)
    return coins(kappa * x + (abar_s - kappa * abar_t) * clean, noise)


def algorithm2_step(x, z, tables, t, noise):
    """The paper's printed update, which is DDPM without the shift; noise is ignored at t = 1."""
    alpha, abar, sigma2 = tables["alpha"][t], tables["abar"][t], tables["sigma2"][t]
    mean = (x - (1 - alpha) / (1 - abar) ** 0.5 * z) / alpha**0.5
    return mean if t == 1 else mean + sigma2**0.5 * noise
