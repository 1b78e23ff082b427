#!/usr/bin/env python3
"""Ours beside the same network in PyTorch, in one run: medians and ratios.

usage: compare.py BENCH_NETWORK [--config small] [--sizes 320x320,880x880] [--history history.csv]

BENCH_NETWORK is the program build/<preset>/bench/bench_network; run with a Python that has torch.
Each measurement is a process of its own, ours and theirs in turn. Memory: the peak resident size of
the process less what it had before the model existed (import of PyTorch; 4 MiB for ours).
"""
import argparse, csv, datetime, json, os, platform, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
COLUMNS = ["date", "machine", "config", "size", "mode", "dtype", "ours_ms", "theirs_ms", "ratio",
           "ours_gflops", "ours_mib", "theirs_mib", "memory_ratio"]
BASE_MIB = 4.0


def last_json(command):
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    text = done.stdout.strip()
    return json.loads(text if text.startswith("{\n") else text.splitlines()[-1])


def find(value, key):
    """The first dictionary inside value that has key."""
    if isinstance(value, dict):
        if key in value:
            return value
        value = list(value.values())
    for item in value if isinstance(value, list) else []:
        found = find(item, key)
        if found:
            return found
    return None


def machine():
    with open("/proc/cpuinfo") as text:
        flags = next((line for line in text if line.startswith("flags")), "")
    kind = "amx" if "amx_bf16" in flags else "avx512" if "avx512f" in flags else "avx2"
    return f"{platform.machine()} {kind} {os.cpu_count()} cores"


def row(bench, config, size, mode, dtype):
    args = ["--config", config, "--size", size, "--mode", mode, "--dtype", dtype]
    ours = last_json([bench, *args, "--repeats", "7", "--threads", "2"])
    theirs = find(last_json([sys.executable, os.path.join(HERE, "peer_pytorch.py"), *args]), "median_s")
    their_ms = 1e3 * theirs["median_s"]
    their_mib = (theirs["peak_rss"] - theirs["import_rss"]) / 2**20
    our_mib = ours["peak_rss_mib"] - BASE_MIB
    return dict(zip(COLUMNS, [datetime.date.today().isoformat(), machine(), config, size, mode, dtype,
                              ours["median_ms"], round(their_ms, 2), round(their_ms / ours["median_ms"], 2),
                              ours["gflop_per_s"], round(our_mib, 1), round(their_mib, 1),
                              round(our_mib / their_mib, 2)]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bench")
    parser.add_argument("--config", default="small")
    parser.add_argument("--sizes", default="320x320,880x880")
    parser.add_argument("--modes", default="step,train")
    parser.add_argument("--history")
    args = parser.parse_args()
    rows = []
    for size in args.sizes.split(","):
        for mode in args.modes.split(","):
            for dtype in ("bf16", "f32"):
                rows.append(row(args.bench, args.config, size, mode, dtype))
                print("  ".join(f"{key} {rows[-1][key]}" for key in COLUMNS[2:]), flush=True)
    if args.history:
        new = not os.path.exists(args.history)
        with open(args.history, "a", newline="") as out:
            writer = csv.DictWriter(out, COLUMNS)
            if new:
                writer.writeheader()
            writer.writerows(rows)


main()
