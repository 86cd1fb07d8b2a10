"""docs/results.md and its pictures from the tracked runs: page.py EXP, called by run.sh.

page.md holds the text, and no figure of a run: each is taken from `exp report --format json` of an experiment NAME.
{{table NAME METRIC...}}            a row for each configuration: mean and sample deviation over the seeds, and the 95 %
                                    interval of the difference from the first row
{{value NAME METRIC [KEY=VALUE]..}} the mean and deviation of one configuration
{{ratios NAME SPEED COST}}          how many times as fast as the first, beside how many times cheaper by COST
{{runs NAME [METRIC]..}}            the runs behind it (that have the metrics)
{{chart FILE NAME X Y}}             a picture drawn by `exp report`
"""
import functools
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "figures"


class Page:
    """`ask(name, metrics)` is the report as JSON, `draw(file, name, x, y)` makes a picture."""

    def __init__(self, ask, draw):
        self.ask, self.draw = ask, draw

    def fill(self, text):
        return re.sub(r"\{\{(\w+)\s([^}]+)\}\}", lambda m: getattr(self, m[1])(*m[2].split()), text)

    def table(self, name, *metrics):
        report = self.ask(name, metrics)
        groups, keys = report["groups"], report["keys"]
        beside = ["against the first"] if len(groups) > 1 else []
        head = keys + [cell for metric in metrics for cell in [metric, *beside]]
        lines = [head, ["---"] * len(keys) + ["---:"] * (len(head) - len(keys))]
        for number, group in enumerate(groups):
            row = [str(group["values"][k]) for k in keys]
            for metric in metrics:
                row.append(spread(group["metrics"].get(metric)))
                if beside:
                    row.append(effect(group["against_first"].get(metric)) if number else "")
            lines.append(row)
        return rows(lines)

    def value(self, name, metric, *where):
        wanted = dict(w.split("=", 1) for w in where)
        found = [g for g in self.ask(name, (metric,))["groups"]
                 if all(str(g["values"].get(k)) == v for k, v in wanted.items())]
        if len(found) != 1:
            raise SystemExit(f"{name} {metric} {' '.join(where)}: {len(found)} configurations, one is wanted")
        return spread(found[0]["metrics"].get(metric))

    def ratios(self, name, speed, cost):
        report = self.ask(name, (speed, cost))
        groups, keys = report["groups"], report["keys"]
        lines = [keys + ["times as fast", f"{cost} of the first / of this"]]
        lines.append(["---"] * len(keys) + ["---:"] * 2)
        first = groups[0]["metrics"]
        for group in groups:
            of = group["metrics"]
            lines.append([str(group["values"][k]) for k in keys] +
                         [f"{of[speed]['mean'] / first[speed]['mean']:.2f}", f"{first[cost]['mean'] / of[cost]['mean']:.2f}"])
        return rows(lines)

    def runs(self, name, *metrics):
        report = self.ask(name, metrics)
        counted = {uid for group in report["groups"] for uid in group["runs"]}
        return ", ".join(run["uid"][-8:] for run in report["runs"] if run["uid"] in counted)

    def chart(self, file, name, x, y):
        self.draw(file, name, x, y)
        return f"![{y} over {x}](figures/{file})"


def rows(lines):
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def places_of(width):
    """Decimals that show two digits of `width`."""
    return max(0, 1 - int(f"{width:.1e}".split("e")[1]))


def spread(metric):
    if not metric or metric["mean"] is None:
        return "-"
    if not metric.get("std"):
        return f"{metric['mean']:.4g}"
    places = places_of(metric["std"])
    return f"{metric['mean']:.{places}f} ± {metric['std']:.{places}f}"


def effect(change):
    if not change or change.get("difference") is None:
        return "-"
    low, high = change.get("lo"), change.get("hi")
    if low is None:
        return f"{change['difference']:+.4g}"
    if high == low == 0:
        return "0 in every seed, no measurable effect"
    places = places_of((high - low) / 4)
    text = f"{change['difference']:+.{places}f} [{low:+.{places}f}, {high:+.{places}f}]"
    return text + (", no measurable effect" if low <= 0 <= high else "")


def asker(exp):
    @functools.cache
    def ask(name, metrics):
        command = [exp, "report", name, "--format", "json"]
        if metrics:
            command += ["--metric", ",".join(metrics)]
        return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)

    return lambda name, metrics: ask(name, tuple(metrics))


def drawer(exp):
    def draw(file, name, x, y):
        PICTURES.mkdir(exist_ok=True)
        command = [exp, "report", name, "--x", x, "--y", y, "-o", str(PICTURES / file)]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

    return draw


def main():
    exp = sys.argv[1]
    text = (pathlib.Path(__file__).parent / "page.md").read_text()
    (ROOT / "docs" / "results.md").write_text(Page(asker(exp), drawer(exp)).fill(text))


if __name__ == "__main__":
    main()
