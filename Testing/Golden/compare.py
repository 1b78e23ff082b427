"""Distance of two folders of golden files: python compare.py FOLDER_A FOLDER_B.

Per group of tensors the largest and the median over tensors of  max|a - b| / max|b|  and of the
relative l2 distance.
"""

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file


def distances(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    scale, norm = np.abs(b).max(), np.sqrt((b**2).sum())
    gap = a - b
    if scale == 0:
        return np.abs(gap).max(), np.abs(gap).max()
    return np.abs(gap).max() / scale, np.sqrt((gap**2).sum()) / norm


def main(left, right):
    for path in sorted(Path(right).glob("*.safetensors")):
        a, b = load_file(Path(left) / path.name), load_file(path)
        groups = {}
        for key in b:
            group = key if key in ("adam/losses", "loss/terms") else key.split("/")[0]
            groups.setdefault(group, []).append((*distances(a[key], b[key]), key))
        print(path.name)
        for group, rows in sorted(groups.items()):
            worst = max(rows)
            print(f"  {group:12} max {worst[0]:.2e}  median {np.median([r[0] for r in rows]):.2e}  "
                  f"l2 {max(r[1] for r in rows):.2e}  worst {worst[2]}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
