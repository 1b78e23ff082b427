#!/usr/bin/env python3
"""The table of gpu_check.sh: reads FOLDER/results.jsonl, writes FOLDER/gpu.json and FOLDER/gpu.txt.

usage: gpu_table.py FOLDER

Prints the table. Status 1 when a check failed or when nothing was measured; a missed target of speed
or memory is no failure.
"""
import json
import os
import sys

STEP_TARGET, TRAIN_TARGET, MEMORY_TARGET, CONV_TARGET = 1.5, 1.3, 0.6, 0.5
REQUIRED = ("build", "tests", "golden", "train")  # without these, numbers mean nothing
STUDY_TARGETS = {"base": 5.0, "small": 1.0}  # seconds of a 15-slice 880x880 study


def read(folder):
    lines = []
    with open(os.path.join(folder, "results.jsonl")) as text:
        for line in text:
            try:
                lines.append(json.loads(line))
            except ValueError:
                lines.append({"check": "results", "name": line.strip()[:60], "status": 1,
                              "seconds": 0, "note": "not JSON"})
    return lines


# ---- checks --------------------------------------------------------------------------------------


def judge(checks, networks):
    """What became of each check: passed, skipped, not run, NOT RUN (it had to be), or FAILED."""
    for check in checks:
        status, note = check["status"], check["note"]
        slow = check["check"] == "sanitizer" and note.startswith("stopped")
        missed = "NOT RUN" if check["check"] in REQUIRED else "not run"
        check["result"] = (missed if "no time left" in note else "skipped" if status == 77
                           else "no finding in its time" if slow
                           else "passed" if status == 0 else "FAILED")
    for line in networks:
        if "loss_first" in line and not line["loss_last"] < line["loss_first"]:
            checks.append(dict(check="train", name=f"loss of {line['config']} {line['dtype']}",
                               status=1, seconds=0, result="FAILED",
                               note=f"{line['loss_first']} became {line['loss_last']}"))


def check_rows(checks):
    by_part = {}
    for check in checks:
        by_part.setdefault(check["check"], []).append(check)
    rows = [["part", "seconds", "passed", "of", "not passed"]]
    for part, all_of in by_part.items():
        others = [f"{c['name']}: {c['result']} ({c['note'] or 'status %d' % c['status']})"
                  for c in all_of if c["result"] != "passed"]
        rows.append([part, sum(c["seconds"] for c in all_of),
                     sum(c["result"] == "passed" for c in all_of), len(all_of),
                     "; ".join(others)])
    return rows


# ---- ours beside PyTorch's -----------------------------------------------------------------------


def key_of(line):
    return line["config"], line["mode"], line["size"], line["batch"]


def compare(networks, peers):
    """One record for each configuration that either side was asked for."""
    table = {}
    for line in networks:
        if line["dtype"] == "bf16":
            table.setdefault(key_of(line), {})["ours"] = line
    for line in peers:
        table.setdefault(key_of(line), {})[line["form"]] = line
    out = []
    for key, sides in table.items():
        row = dict(zip(("config", "mode", "size", "batch"), key))
        ours = sides.get("ours", {})
        row.update(ours_ms=ours.get("median_ms"), ours_tflops=(ours.get("gflop_per_s") or 0) / 1e3,
                   ours_mib=ours.get("peak_alloc_mib"))
        for form in ("eager", "compiled"):
            theirs = sides.get(form, {})
            row[form + "_ms"] = theirs.get("median_ms")
            row[form + "_mib"] = theirs.get("peak_alloc_mib")
            row[form + "_note"] = theirs.get("skipped", "" if theirs else "not asked for")
            row[form + "_ratio"] = ratio(row[form + "_ms"], row["ours_ms"])
            row[form + "_memory"] = ratio(row["ours_mib"], row[form + "_mib"])
        out.append(row)
    return out


def ratio(a, b):
    return a / b if a and b else None


def compare_rows(table):
    rows = [["network", "size", "batch", "mode", "ours ms", "TFLOP/s", "eager ms", "compiled ms",
             "x eager", "x compiled", "ours MiB", "eager MiB", "comp. MiB", "mem/eager",
             "mem/comp."]]
    for r in table:
        rows.append([r["config"], r["size"], r["batch"], r["mode"], number(r["ours_ms"], 3),
                     number(r["ours_tflops"], 1), number(r["eager_ms"], 3),
                     number(r["compiled_ms"], 3), number(r["eager_ratio"], 2),
                     number(r["compiled_ratio"], 2), number(r["ours_mib"], 0),
                     number(r["eager_mib"], 0), number(r["compiled_mib"], 0),
                     number(r["eager_memory"], 2), number(r["compiled_memory"], 2)])
    return rows


def skipped_lines(table):
    return [f"{r['config']} {r['mode']} {r['size']} batch {r['batch']}, {form}: {r[form + '_note']}"
            for r in table for form in ("eager", "compiled")
            if r[form + "_note"] not in ("", "not asked for", "the budget is spent")]


# ---- operators and ceilings ----------------------------------------------------------------------


def ceilings(operators, peers):
    """The larger of what our table and PyTorch reach."""
    best = {"bf16_tflops": 0.0, "f32_tflops": 0.0, "copy_gbps": 0.0}
    sources = dict.fromkeys(best, "not measured")
    found = [(f"{o['dtype']}_tflops", o["tflops"], "verdiff") for o in operators
             if o["bench"] == "product" and "tflops" in o]
    found += [("copy_gbps", o["gbps"], "verdiff") for o in operators if o["bench"] == "copy"]
    found += [(k, p[k], "pytorch") for p in peers if p.get("bench") == "ceilings" for k in best]
    for key, value, who in found:
        if value > best.get(key, float("inf")):
            best[key], sources[key] = value, who
    return best, sources


def operator_rows(operators, best):
    rows = [["operator", "type", "in", "out", "k", "s", "d", "form", "ms", "TFLOP/s", "% peak",
             "GB/s", "% copy"]]
    measured = [o for o in operators if o["bench"] == "op" and "ms" in o]
    for o in sorted(measured, key=lambda o: -o["ms"]):
        peak = best.get(o["dtype"] + "_tflops") or None
        rows.append([o["op"], o["dtype"], o["in"].split()[0], o["out"].split()[0], o["kernel"],
                     o["stride"], o["dilation"], o["form"], number(o["ms"], 4),
                     number(o["tflops"], 1), percent(o["tflops"], peak), number(o["gbps"], 0),
                     percent(o["gbps"], best["copy_gbps"])])
    return rows


def percent(a, b):
    return f"{100 * a / b:.0f}" if b else "-"


# ---- targets -------------------------------------------------------------------------------------


def verdict(value, target, above):
    if value is None:
        return "not measured"
    return "met" if (value >= target if above else value <= target) else "MISSED"


def target(name, value, wanted, above, unit=""):
    return dict(target=name, wanted=f"{'>=' if above else '<='} {wanted}{unit}", found=value,
                result=verdict(value, wanted, above))


def targets(table, operators, studies, best):
    out = []
    for r in table:
        if r["config"] not in ("base", "unit") or (not r["compiled_ms"] and not r["ours_ms"]):
            continue
        name = f"{r['config']} {r['mode']} {r['size']} batch {r['batch']}"
        wanted = STEP_TARGET if r["mode"] == "step" else TRAIN_TARGET
        out.append(target(f"{name}: times compiled PyTorch", r["compiled_ratio"], wanted, True))
        smaller = [m for m in (r["compiled_memory"], r["eager_memory"]) if m]
        out.append(target(f"{name}: memory, of the leaner PyTorch", max(smaller, default=None),
                          MEMORY_TARGET, False))
    peak = best["bf16_tflops"]
    convs = [o for o in operators if o["op"].startswith("CONV") and o.get("kernel") == 3 and
             o["dtype"] == "bf16" and "ms" in o and wide(o)] if peak else []
    together = ratio(sum(o["gflop"] for o in convs), sum(o["ms"] for o in convs) * peak)
    shares = sorted(o["tflops"] / peak for o in convs)
    out.append(target("full's 3x3 convolutions, bf16, together: share of the ceiling", together,
                      CONV_TARGET, True))
    out.append(target("the same, each: median share", shares[len(shares) // 2] if shares else None,
                      CONV_TARGET, True))
    for s in studies:
        wanted = STUDY_TARGETS.get(s["config"])
        if wanted:
            out.append(target(f"15-slice study, {s['config']}, first call", s["first_s"], wanted,
                              False, " s"))
            out.append(target(f"15-slice study, {s['config']}, later calls", s["median_s"], wanted,
                              False, " s"))
    return out


def wide(o):
    """Of 64 channels or more on both sides: narrower ones are bound by memory, not arithmetic."""
    channels = [int(o[k].split()[0].split("x")[-1]) for k in ("in", "out")]
    return min(channels) >= 64


# ---- text ----------------------------------------------------------------------------------------


def number(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


def text_of(rows):
    rows = [[str(v) for v in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(v.ljust(w) for v, w in zip(row, widths)).rstrip() for row in rows)


def study_rows(studies):
    rows = [["study", "size", "slices", "steps", "samples", "open s", "first s", "later s", "MiB"]]
    return rows + [[s["config"], s["size"], s["slices"], s["steps"], s["samples"], s["open_s"],
                    s["first_s"], s["median_s"], number(s["peak_alloc_mib"], 0)] for s in studies]


def main():
    folder = sys.argv[1]
    lines = read(folder)
    checks = [v for v in lines if "check" in v]
    operators = [v for v in lines if v.get("bench") in ("op", "product", "copy")]
    operators = [dict({"op": "copy"}, **v) for v in operators]
    studies = [v for v in lines if v.get("bench") == "study"]
    networks = [v for v in lines if v.get("who") == "verdiff" and "mode" in v]
    peers = [v for v in lines if v.get("who") == "pytorch"]
    judge(checks, networks)
    for o in operators:
        if "error" in o:
            checks.append(dict(check="bench", name=o["op"], status=1, seconds=0, result="FAILED",
                               note=o["error"]))
    best, sources = ceilings(operators, peers)
    table = compare([n for n in networks if n["config"] != "tiny"],  # tiny: the smoke test's
                    [p for p in peers if "form" in p])
    goals = targets(table, operators, studies, best)
    failed = [c for c in checks if c["result"] in ("FAILED", "NOT RUN")]
    device = next((v["device"] for v in networks + studies if "device" in v), "no device measured")
    cut = sum(v["skipped"] for v in operators if "skipped" in v)
    spent = sum(p.get("skipped") == "the budget is spent" for p in peers)
    sections = [
        f"device: {device}",
        "ceilings (the best of ours and PyTorch's): " + ", ".join(
            f"{k} {v:.1f} ({sources[k]})" for k, v in best.items()),
        "\nCHECKS\n" + text_of(check_rows(checks)),
        "\nTARGETS\n" + text_of([["target", "wanted", "found", ""]] + [
            [g["target"], g["wanted"], number(g["found"], 3), g["result"]] for g in goals]),
        "\nNETWORKS, bf16 (x: how many times faster we are; mem: our bytes over theirs; in training we\n"
        "take the images of a batch one after the other, PyTorch at once)\n" +
        text_of(compare_rows(table)),
        f"PyTorch not measured, no time: {spent}", *skipped_lines(table),
        "\nSTUDIES\n" + text_of(study_rows(studies)),
        f"\nOPERATORS, slowest first ({cut} not measured, no time)\n" +
        text_of(operator_rows(operators, best)),
        f"\n{len(failed)} failed: " + "; ".join(f"{c['check']} {c['name']}" for c in failed)
        if failed else "\nno check failed",
    ]
    with open(os.path.join(folder, "gpu.txt"), "w") as out:
        out.write("\n".join(sections) + "\n")
    with open(os.path.join(folder, "gpu.json"), "w") as out:
        json.dump(dict(device=device, ceilings=best, ceilings_by=sources, checks=checks,
                       targets=goals, networks=table, ours=networks, peers=peers, studies=studies,
                       operators=operators), out, indent=1)
    os.remove(os.path.join(folder, "results.jsonl"))
    print("\n".join(sections))
    return 1 if failed or not checks else 0


sys.exit(main())
