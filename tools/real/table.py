"""Print what tools/real/adapt.json holds as Markdown: error rates, and ten clips of a task before and after.

python -m tools.real.table
"""

import json

import numpy as np

from tools.real.adapt import RESULTS

SHOWN = 10  # clips of a task, drawn by chance


def rate(entry: dict, name: str) -> str:
    """Return an error rate with its interval."""
    low, high = entry[f"{name}_interval"]
    return f"{entry[name]:.1f} % ({low:.1f} to {high:.1f})"


def main() -> None:
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    print("| task | training clips | steps | seed | minutes | context | WER | CER |\n|---|---|---|---|---|---|---|---|")
    for each in results:
        clips = each.get("train_clips") or "all"
        start = [
            each["task"],
            clips,
            each["iters"],
            each.get("seed", ""),
            each.get("minutes", ""),
            each["audio_context"] or "auto",
        ]
        print(f"| {' | '.join(map(str, start))} | {rate(each, 'wer')} | {rate(each, 'cer')} |")
    for task in dict.fromkeys(each["task"] for each in results):
        runs = [each for each in results if each["task"] == task and not each.get("train_clips")]
        base, best = runs[0], max(runs, key=lambda each: each["iters"])
        print(f"\n{task}, {best['iters']} steps\n\n| said | base | with the adapter |\n|---|---|---|")
        for i in np.random.default_rng(0).permutation(base["clips"])[:SHOWN]:
            print(f"| {base['references'][i]} | {base['texts'][i][:80]} | {best['texts'][i]} |")


if __name__ == "__main__":
    main()
