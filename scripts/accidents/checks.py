"""What must hold when a round is over: nothing acknowledged is lost, nothing said is untrue, every result is that of an
undisturbed run."""
import datetime
import re
import time

import jobs
import truth

# Over the network or with another clock a second may be rounded either way.
SLACK_S = 2


class Ledger:
    """What commands that ended well have promised."""

    def __init__(self):
        self.runs = {}  # uid -> metrics of its stages
        self.queued = set()
        self.tags = set()  # of (uid, tag)

    def queue(self, uid):
        self.queued.add(uid)

    def tag(self, uid, tag):
        self.tags.add((uid, tag))

    def done(self, told):
        """A run's JSON on stdout, with code 0."""
        self.runs[told["run"]] = {f"{stage['name']}.{name}": value for stage in told["stages"]
                                  for name, value in stage["metrics"].items() if not truth.is_timed(name)}

    def forget(self, uid):
        self.runs.pop(uid, None)
        self.queued.discard(uid)
        self.tags = {(tagged, tag) for tagged, tag in self.tags if tagged != uid}

    def clear(self):
        self.__init__()

    def lost(self, runs):
        """What of it `exp runs --json` does not have any more."""
        found = {run["uid"]: run for run in runs}
        said = [f"queued run {uid} is gone" for uid in sorted(self.queued) if uid not in found]
        said += [f"run {uid} has lost its tag {tag}" for uid, tag in sorted(self.tags)
                 if uid in found and tag not in found[uid]["tags"]]
        for uid, metrics in self.runs.items():
            if uid not in found:
                said.append(f"run {uid} was done and is gone")
                continue
            if found[uid]["status"] != "done":
                said.append(f"run {uid} was done and is {found[uid]['status']}")
            last = {name: summary["last"] for name, summary in found[uid]["metrics"].items()}
            said += truth.differences(last, metrics, f"run {uid}")
        return said


def at(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() if text else None


def untrue_times(run, begun, now, clock_was_set):
    """A run ends after it began, and both within the round unless a clock was set."""
    created, started, ended = at(run["created"]), at(run["started"]), at(run["ended"])
    said = []
    if ended is not None and started is not None and ended < started:
        said.append(f"run {run['uid']} ended ({run['ended']}) before it started ({run['started']})")
    if clock_was_set:
        return said
    for name, value in (("created", created), ("started", started), ("ended", ended)):
        if value is not None and not begun - SLACK_S <= value <= now + SLACK_S:
            said.append(f"run {run['uid']}: {name} is {run[name]}")
    return said


# Of these curves may get lost, and that is said. What a stage gives in the end may not.
LOSES_POINTS = {"full_disk", "file_limit", "few_descriptors", "few_descriptors_at_start", "ring_cut", "run_removed",
                "database_removed"}


def wrong_metrics(run, expected, cut):
    """The metrics of a done run are those of one of the undisturbed runs of its recipe. `cut`: points may be gone."""
    found = truth.metrics_of(run)
    if cut:
        found = {name: value[0] for name, value in found.items()}
    best = None
    for wanted in expected:
        if cut:
            wanted = {name: value[0] for name, value in wanted.items() if value[3] == 1}
        said = truth.differences(found, wanted, f"run {run['uid']} ({run['name']})")
        if best is None or len(said) < len(best):
            best = said
    return best or []


def check(session, begun):
    now = time.time()
    session.uses_lost |= bool(LOSES_POINTS & session.happened)
    for job in session.disturbed:
        end = job.end()
        if end.code == 0 and end.words[0] == "run" and "--queue" not in end.words and not end.closed \
                and job.folder == session.work:
            session.ledger.done(job.json())
        if end.code == 0 and end.words[0] == "tag":
            session.ledger.tag(*end.words[1:])
    check_resumed(session)
    listed = session.start(["runs", f"name~-{session.round}", "--json", "--limit", "0"])
    listed.wait(120)
    runs = listed.json() if listed.poll() == 0 else []
    of_round = [run for run in runs if run["name"].endswith((f"-{session.round}", f"-{session.round}-shared"))]
    for uid in session.ruined:
        session.ledger.forget(uid)
    for text in session.ledger.lost(of_round):
        session.fault(text)
    for run in of_round:
        check_run(session, run, begun, now)
    check_stages(session)
    check_programs(session)
    session.ledger.clear()


def check_resumed(session):
    """Every command ends well now, with the stages and metrics of the undisturbed one."""
    for name, job in session.resumed.items():
        end = job.end()
        if end.code != 0:
            session.fault(f"cannot go on: `exp {' '.join(end.words)}` ended with {end.code}: "
                          f"{end.out[-300:]}{end.err[-900:]}")
            continue
        told, undisturbed = job.json(), session.told[name]
        for text in truth.differences(summary(told), summary(undisturbed), f"`exp {' '.join(end.words)}`"):
            session.fault(text)
        if "run" in told:
            session.ledger.done(told)


def summary(told):
    """Of the JSON of a run or a sweep: what is to be the same whoever was disturbed."""
    found = {}
    for stage in told.get("stages", []):
        found[f"{stage['name']}.key"] = stage["key"]
    parts = [*told.get("stages", []), *({"name": f"trial {t['number']}", **t} for t in told.get("trials", []))]
    for part in parts:
        for metric, value in part["metrics"].items():
            if not truth.is_timed(metric):
                found[f"{part['name']}.{metric}"] = value
    for trial in told.get("trials", []):
        found[f"trial {trial['number']}.state"] = trial["state"]
    return found


def check_run(session, run, begun, now):
    if run["status"] in ("running", "queued"):
        session.fault(f"run {run['uid']} ({run['name']}) is {run['status']} and no process is left")
    if run["status"] == "broken" and run["uid"] not in session.ruined:
        session.fault(f"run {run['uid']} is broken")
    for text in untrue_times(run, begun, now, "clock_set" in session.happened):
        session.fault(text)
    if run["status"] == "done" and run["hash"] in session.metrics:
        cut = bool(LOSES_POINTS & session.happened)
        for text in wrong_metrics(run, session.metrics[run["hash"]], cut):
            session.fault(text)


UNKNOWN_USES = re.compile(r"stages\.json is not there although the run has stages.*`exp rm (\w+)` removes it")


def collect(session):
    """gc, and what it says is to be done where a full disk kept a run that is lost from noting what it used."""
    for _ in range(5):
        collected = session.start(["gc", "--now", "--json"])
        collected.wait(120)
        unknown = UNKNOWN_USES.search(collected.end().err)
        if unknown is None or not session.uses_lost:
            return
        collected.accidents.append("full_disk")
        session.ruin(unknown.group(1))
        session.start(["rm", unknown.group(1), "--yes"]).wait(60)


def check_stages(session):
    """Outputs in the cache are the undisturbed ones, and after gc they are still there and nothing half made is."""
    collect(session)
    found = truth.stages_of(session.cache)
    needed = {stage: result for stage, result in session.expected.items() if stage in session.needed()}
    for text in truth.stage_differences(found, needed, session.flipped):
        session.fault(text)
    others = {stage: result for stage, result in session.expected.items() if stage in found and stage not in needed}
    for text in truth.stage_differences(found, others, session.flipped):
        session.fault(text)
    for name in truth.damaged(session.cache):
        if name not in session.flipped:
            session.fault(f"{name} is not what its manifest says")
    # Unfinished work stays while a run refers to it: one that stopped, and whose data are others by now.
    used = "".join(path.read_text() for path in session.work.glob(".exp/runs/*/stages.json"))
    unused = [path for path in session.cache.glob("*/*.partial") if path.name.split(".")[0] not in used]
    for left in [*unused, *session.cache.glob("*/*.tmp-*"), *session.cache.glob("trash/*")]:
        session.fault(f"left behind after gc: {left.relative_to(session.cache)}")


def check_programs(session):
    if (session.evil / "ran").exists():
        session.fault("a program that the folder's git configuration names was run")
        (session.evil / "ran").unlink()
    reports = session.start(["report", "--json"])
    reports.wait(120)
    end = reports.end()
    if end.code != 0 or jobs.error_lines(end.err):
        session.fault(f"`exp report` ended with {end.code}: {end.err[-600:]}")
