#!/usr/bin/env python3
"""Train the arms of one table on one data set and print the table.

    python3 Testing/Reproduce/reproduce.py TABLE DATASET FOLDER [--bin DIR] [--config tiny]
            [--minutes 5 | --steps 2000] [--seeds 35,36] [--arms name,name] [-- VerdiffTrain options]

TABLE is a file of this folder (table1, table2, second_paper) or a path. Every arm is trained with the
same data, split, augmentation, seeds and budget; an arm that is there already (FOLDER/ARM-SEED/test.json)
is not trained again, so the command may be stopped and given again. FOLDER/table.md is what is printed.

Needs Python 3.7 or newer and nothing else; the programs do not need Python.
"""

import argparse
import csv
import json
import os
import random
import statistics
import subprocess
import sys

METHODS = [("prior", "prior"), ("one_pass", "one pass"), ("ensemble", "ensemble")]
DRAWS = 2000


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table")
    parser.add_argument("dataset")
    parser.add_argument("folder")
    parser.add_argument("--bin", default="build/release/bin", help="folder of the programs")
    parser.add_argument("--config", default="tiny")
    parser.add_argument("--minutes", type=float, default=0.0, help="of training, for each arm and seed")
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--seeds", default="35,36")
    parser.add_argument("--arms", default="", help="only these, comma-separated")
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    args = parser.parse_args(given[:end])
    args.more = given[end + 1:]
    return args


def read_table(name):
    path = name if os.path.exists(name) else os.path.join(os.path.dirname(__file__), name + ".json")
    with open(path, encoding="utf-8") as file:
        return json.load(file)


SLICES = ("slices.store", "slices.json")


def link(source, target):
    """Hard links of the slices that were read last: VerdiffTrain replaces files, it never writes into one."""
    for name in SLICES:
        old, new = os.path.join(source, name), os.path.join(target, name)
        if os.path.exists(old) and not (os.path.exists(new) and os.path.samefile(old, new)):
            if os.path.exists(new):
                os.remove(new)
            os.link(old, new)


def train(args, table, arm, seed):
    """One arm with one seed; nothing when its table is there."""
    folder = os.path.join(args.folder, "%s-%d" % (arm["name"], seed))
    if os.path.exists(os.path.join(folder, "test.json")):
        return folder
    os.makedirs(folder, exist_ok=True)
    if not os.path.exists(os.path.join(folder, SLICES[0])):
        link(args.folder, folder)
    preset = dict(table.get("settings", {}), **arm.get("settings", {}))
    preset_path = os.path.join(folder, "preset.json")
    with open(preset_path, "w", encoding="utf-8") as file:
        json.dump(preset, file, indent=1)
    command = [os.path.join(args.bin, "VerdiffTrain"), args.dataset, folder, "--preset", preset_path]
    command += ["--config", args.config, "--seed", str(seed)]
    command += table.get("options", []) + args.more
    if args.minutes > 0:
        command += ["--minutes", str(args.minutes)]
    if args.steps > 0:
        command += ["--steps", str(args.steps)]
    if os.path.exists(os.path.join(folder, "checkpoint.safetensors")):
        command.append("--resume")
    print("training", folder, flush=True)
    with open(os.path.join(folder, "train.txt"), "w", encoding="utf-8") as log:
        code = subprocess.call(command, stdout=log, stderr=subprocess.STDOUT)
    if code != 0:
        with open(os.path.join(folder, "train.txt"), encoding="utf-8") as log:
            last = [line.strip() for line in log if line.strip()][-1:]
        print("  failed with exit code %d: %s" % (code, " ".join(last)), flush=True)
        return None
    link(folder, args.folder)
    return folder


def parameters(args, folder):
    model = os.path.join(folder, "model.safetensors")
    text = subprocess.check_output([os.path.join(args.bin, "VerdiffInspect"), model])
    return json.loads(text)["parameters"]["total"]


def last_row(path):
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return rows[-1]


def mean_sd(values):
    if not values:
        return "-"
    sd = statistics.stdev(values) if len(values) > 1 else 0.0
    return "%.4f ± %.4f" % (statistics.mean(values), sd)


def interval(differences):
    """95 % of the mean under draws of subjects; the same draws for every comparison."""
    draw = random.Random(35)
    n = len(differences)
    means = sorted(statistics.fmean(draw.choices(differences, k=n)) for _ in range(DRAWS))
    return "%+.4f [%+.4f, %+.4f]" % (statistics.fmean(differences), means[DRAWS // 40], means[-DRAWS // 40 - 1])


class Arm:
    """What the seeds of one arm gave."""

    def __init__(self, args, arm, folders):
        self.name = arm["name"]
        self.title = arm.get("title", arm["name"])
        self.runs = []
        for folder in folders:
            with open(os.path.join(folder, "test.json"), encoding="utf-8") as file:
                self.runs.append(json.load(file))
        self.parameters = parameters(args, folders[0])
        logs = [last_row(os.path.join(folder, "log.csv")) for folder in folders]
        self.minutes = statistics.mean(float(row["seconds"]) for row in logs) / 60.0
        self.steps = statistics.mean(int(row["step"]) for row in logs)

    def classes(self):
        return list(self.runs[0]["prior"])

    def methods(self):
        return [(key, title) for key, title in METHODS if key in self.runs[0]]

    def score(self, method, name, measure):
        """Means of the seeds, averaged; the spread is the one over slices or subjects."""
        cells = [run[method][name][measure] for run in self.runs]
        return "%.4f ± %.4f" % (statistics.mean(c["mean"] for c in cells), statistics.mean(c["sd"] for c in cells))

    def subjects(self, method, name):
        """Dice of each subject, averaged over seeds."""
        runs = [run[method][name]["dice_per_subject"]["values"] for run in self.runs]
        return [statistics.fmean(values) for values in zip(*runs)]

    def seeds(self, method, name):
        return [run[method][name]["dice_per_subject"]["mean"] for run in self.runs]


def scores(arms, reference):
    lines = []
    for name in arms[0].classes():
        lines += ["", "**%s**" % name, ""]
        lines.append("| arm | answer | Dice per slice | IoU per slice | Dice per subject | IoU per subject | seeds' Dice |"
                     " Dice per subject − %s |" % reference.title)
        lines.append("|---|---|---|---|---|---|---|---|")
        base = reference.subjects(reference.methods()[-1][0], name)
        for arm in arms:
            for method, title in arm.methods():
                cells = [arm.score(method, name, m) for m in
                         ("dice_per_slice", "iou_per_slice", "dice_per_subject", "iou_per_subject")]
                cells.append(", ".join("%.4f" % value for value in arm.seeds(method, name)))
                same = arm is reference and method == arm.methods()[-1][0]
                own = arm.subjects(method, name)
                cells.append("-" if same else interval([a - b for a, b in zip(own, base)]))
                lines.append("| %s | %s | %s |" % (arm.title, title, " | ".join(cells)))
    return lines


def costs(arms):
    lines = ["", "| arm | parameters | optimiser steps | minutes of training |", "|---|---|---|---|"]
    for arm in arms:
        lines.append("| %s | %d | %.0f | %.1f |" % (arm.title, arm.parameters, arm.steps, arm.minutes))
    return lines


def number(value):
    return "-" if value is None else "%.4f" % value


def trust(arms):
    lines = ["", "| arm | answer | ECE | ECE band | Brier | Brier band | uncertainty | Pearson | Spearman | AURC | best AURC |",
             "|---|---|---|---|---|---|---|---|---|---|---|"]
    for arm in arms:
        for method, title in arm.methods():
            cells = [run["calibration"][method] for run in arm.runs]

            def mean(*path):
                found = cells
                for key in path:
                    found = [cell[key] for cell in found]
                return None if None in found else statistics.mean(found)
            kinds = [kind for kind in ("entropy", "mutual_information") if kind in cells[0]]
            for kind in kinds:
                row = [mean("ece"), mean("ece_band"), mean("brier"), mean("brier_band")]
                tail = [mean(kind, key) for key in ("pearson", "spearman", "aurc", "best_aurc")]
                lines.append("| %s | %s | %s | %s | %s |" % (arm.title, title, " | ".join(map(number, row)),
                                                          kind.replace("_", " "), " | ".join(map(number, tail))))
    return lines


def main():
    args = arguments()
    table = read_table(args.table)
    wanted = [name for name in args.arms.split(",") if name]
    seeds = [int(seed) for seed in args.seeds.split(",")]
    chosen = [arm for arm in table["arms"] if not wanted or arm["name"] in wanted]
    folders = {arm["name"]: [] for arm in chosen}
    for seed in seeds:  # a run that is stopped has whole seeds first
        for arm in chosen:
            folder = train(args, table, arm, seed)
            if folder:
                folders[arm["name"]].append(folder)
    arms = [Arm(args, arm, folders[arm["name"]]) for arm in chosen if folders[arm["name"]]]
    if not arms:
        sys.exit("no arm was trained")
    named = [arm for arm in arms if arm.name == table.get("reference")]
    budget = "%g minutes" % args.minutes if args.minutes > 0 else "%d steps" % args.steps
    lines = ["# " + table["title"], "", "Data set %s, %d test subjects, %d test slices; size %s, %s for each arm and seed, seeds %s." % (
        os.path.basename(os.path.normpath(args.dataset)),
        arms[0].runs[0]["prior"][arms[0].classes()[0]]["dice_per_subject"]["n"],
        arms[0].runs[0]["slices"], args.config, budget, args.seeds)]
    lines.append("± is the spread over slices or subjects; brackets are 95 % intervals of a paired bootstrap over subjects.")
    lines += scores(arms, named[0] if named else arms[0]) + costs(arms) + trust(arms)
    text = "\n".join(lines) + "\n"
    path = os.path.join(args.folder, "table.md")
    with open(path + ".partial", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".partial", path)
    print(text)


if __name__ == "__main__":
    main()
