"""table.py - from compare.py's samples to the table: speed of ours over speed of the peer."""

import statistics

HEADER = ["case", "ours", "ours does", "peer", "ratio", "min ... max", "by CPU time", "goal", "met"]


def medians(samples, key="ns"):
    """{(case, arm): median}."""
    groups = {}
    for sample in samples:
        groups.setdefault((sample["case"], sample["arm"]), []).append(sample[key])
    return {group: statistics.median(values) for group, values in groups.items()}


def ratios(samples, case, ours, peer, key="ns"):
    """Peer's time over ours, one for each round that has both: they ran next to each other."""
    by_round = {(s["round"], s["arm"]): s[key] for s in samples if s["case"] == case}
    rounds = sorted({number for number, _ in by_round})
    return [by_round[r, peer] / by_round[r, ours] for r in rounds
            if (r, peer) in by_round and (r, ours) in by_round]


def work(case, params, context):
    """Useful operations of a prefill: products, the last token's logits, visible pairs."""
    heads = params["n_heads"] * params["head_dim"]
    keys = params["n_kv_heads"] * params["head_dim"]
    layer = params["dim"] * (2 * heads + 2 * keys + 3 * params["hidden_dim"])
    window = params["sliding_window"] or context + case.n
    pairs = sum(min(context + i + 1, window) for i in range(case.n))
    return (2 * case.n * params["n_layers"] * layer + 2 * params["dim"] * params["vocab_size"] +
            4 * params["n_layers"] * heads * pairs)


def weight_bytes(params):
    heads = params["n_heads"] * params["head_dim"]
    keys = params["n_kv_heads"] * params["head_dim"]
    layer = params["dim"] * (2 * heads + 2 * keys + 3 * params["hidden_dim"])
    return 2 * (params["n_layers"] * layer + params["dim"] * params["vocab_size"])


def speed(case, params, ns):
    if case.steps > 0:
        return f"{weight_bytes(params) / ns:.1f} GB/s"
    return f"{work(case, params, case.depth) / ns:.0f} GF/s"


def row_of(samples, case, ours, other, params, goal):
    found = ratios(samples, case.name, ours, other)
    if not found:
        return None
    middle = statistics.median(found)
    by_cpu = statistics.median(ratios(samples, case.name, ours, other, "cpu_ns"))
    taken = medians(samples)
    return [case.name, ours, speed(case, params, taken[case.name, ours]),
            f"{other} {speed(case, params, taken[case.name, other])}", f"{middle:.2f}",
            f"{min(found):.2f} ... {max(found):.2f}", f"{by_cpu:.2f}",
            f"{goal:.2f}" if goal else "", ("yes" if middle >= goal else "no") if goal else ""]


def depth_rows(samples, cases, ours, params):
    """Deep against shallow, ours alone: the same window, so the same work."""
    rows = []
    for deep in (case for case in cases if case.against):
        shallow = next(case for case in cases if case.name == deep.against)
        renamed = [dict(s, case=deep.name, arm=f"at {s['case']}") for s in samples
                   if s["case"] in (deep.name, shallow.name) and s["arm"] == ours]
        row = row_of(renamed, deep, f"at {deep.name}", f"at {shallow.name}", params, deep.goal)
        if row:
            row[1] = ours
            rows.append(row)
    return rows


def rows_of(samples, cases, arms, params):
    rows, taken = [], medians(samples)
    for ours in (arm for arm in arms if not arm.peer):
        for case in cases:
            for peer in dict.fromkeys(arm.peer for arm in arms if arm.peer):
                names = [arm.name for arm in arms
                         if arm.peer == peer and (case.name, arm.name) in taken]
                if names and (case.name, ours.name) in taken:  # against the fastest of its ways
                    best = min(names, key=lambda name: taken[case.name, name])
                    rows.append(row_of(samples, case, ours.name, best, params,
                                       case.goals.get(peer)))
        rows += depth_rows(samples, cases, ours.name, params)
    return rows


def markdown(rows):
    lines = ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def text(rows):
    widths = [max(len(row[i]) for row in [HEADER, *rows]) for i in range(len(HEADER))]
    return "\n".join("  ".join(word.ljust(width) for word, width in zip(row, widths)).rstrip()
                     for row in [HEADER, *rows]) + "\n"
