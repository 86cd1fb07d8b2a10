"""One workspace in which everything goes on at once while accidents happen, round after round.

A round has recipes of its own. They run undisturbed in a quiet workspace first, which gives the truth. Then the same
commands run at once in the workspace of the accidents, beside readers (`exp runs`, `report`, ..) and gc. When all has
come to rest, what was broken on purpose is put right (a full disk, a link), the same commands are given again and have
to end well, and checks.py looks at what is there.
"""
import collections
import heapq
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

import checks
import jobs
import kinds
import recipes
import truth

HANGS_S = 600
DISK_MB = 400
READERS = (["runs", "--json"], ["report"], ["show", "last"], ["sweeps", "--json"], ["gc", "--dry-run"],
           ["runs", "status=done"], ["sql", "select count(*) from run"], ["recipe", "plan"], ["report", "--json"])


class Session:
    def __init__(self, program, folder, seed, say, keep=False):
        self.program, self.seed, self.say, self.keep = program, seed, say, keep
        self.root = folder / "disk"
        self.root.mkdir()
        self.small_disk = mount(self.root)
        self.work, self.second, self.quiet = self.root / "work", self.root / "second", folder / "quiet"
        self.logs = folder / "logs"
        for place in (self.work, self.second, self.quiet, self.logs):
            place.mkdir()
        self.cache = self.work / ".exp" / "cache"
        (self.second / "exp.toml").write_text(f'runtime.threads = 1\nruntime.cache = "{self.cache}"\n')
        self.clock = compile_clock(folder)
        self.mark = f"{os.getpid()}-{seed}"
        self.counts = {kind: collections.Counter() for kind in kinds.KINDS}
        self.faults = []
        self.refusals = collections.Counter()
        self.ledger = checks.Ledger()
        self.round, self.jobs, self.commands, self.undoing, self.timeline = 0, [], {}, [], []
        self.lasting, self.ruined, self.happened = set(), set(), set()
        self.uses_lost = False  # a run may not have noted which stages it uses
        self.flipped = set()  # KIND/KEY/FILE of all rounds: what nobody used since stays as it is
        self.evil = folder / "evil"
        subprocess.run(["git", "init", "-q", str(self.work)], check=True)

    def close(self):
        for pid, _ in self.processes():
            self.send(pid, signal.SIGKILL)
        if self.small_disk:
            subprocess.run(["umount", "-l", str(self.root)], check=False)

    # What accidents use.

    def start(self, words, *, folder=None, accidents=(), **options):
        job = jobs.Job(self.program, words, folder or self.work, self.logs, self.mark, **options)
        job.accidents = [*accidents, *self.lasting]
        self.jobs.append(job)
        return job

    def working(self):
        """What computes: not readers and gc."""
        return [job for job in self.jobs if job.words[0] in ("run", "sweep", "queue")]

    def processes(self):
        return jobs.processes(self.mark)

    def below(self, job):
        found = []
        for pid, _ in self.processes():
            try:
                if os.getsid(pid) == job.pid:
                    found.append(pid)
            except OSError:
                continue
        return sorted(found)

    def send(self, pid, number):
        try:
            os.kill(pid, number)
        except OSError:
            pass

    def touch(self, kind, lasts=False):
        """An accident that may reach every command that lives; with `lasts` also those that begin before it is
        undone."""
        for job in self.jobs:
            if job.living():
                job.accidents.append(kind)
        if lasts:
            self.lasting.add(kind)

    def later(self, seconds, action):
        heapq.heappush(self.timeline, (time.monotonic() + seconds, len(self.timeline) + random.random(), action))

    def undo(self, action):
        self.undoing.append(action)

    def live_runs(self):
        return sorted(ring.parent for ring in self.work.glob(".exp/runs/*/ring"))

    def ruin(self, uid):
        """What a run had acknowledged is gone on purpose."""
        self.ruined.add(uid)
        self.ledger.forget(uid)

    def is_of_round(self, path):
        key = path.parent.name.split(".")[0]
        return f"{path.parent.parent.name}/{key}" in self.expected

    def needed(self):
        """KIND/KEY of the stages that the runs of the round need."""
        return self.used

    def evil_program(self):
        program = self.evil / "program"
        self.evil.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\ntouch {self.evil}/ran\n")
        program.chmod(0o755)
        return program

    # A round.

    def run_round(self, number, accidents):
        """`accidents`: (number, kind) of each. Returns those that found nothing to happen to."""
        self.round, self.commands = number, recipes.commands(number)
        self.jobs, self.timeline = [], []
        self.ruined, self.happened = set(), set()
        begun = time.time()
        self.find_truth()
        recipes.write(self.work, number)
        (self.work / "exp.toml").write_text(f'runtime.threads = 1\ndefault_recipe = "tones-{number}.toml"\n')
        self.changing = (changed_sound(self.work, number), other_sound(self.quiet, number))
        self.queue()
        missed = self.disturb(number, accidents)
        self.rest()
        self.resume()
        before = len(self.faults)
        checks.check(self, begun)
        self.count()
        if self.keep and len(self.faults) > before:
            shutil.copytree(self.work / ".exp", self.logs.parent / f"round-{number}", symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(self.quiet / ".exp")
        return missed

    def find_truth(self):
        """All commands undisturbed, in the quiet workspace; `tones` also with the changed sound."""
        recipes.write(self.quiet, self.round)
        (self.quiet / "exp.toml").write_text("runtime.threads = 1\n")
        sound = changed_sound(self.quiet, self.round)
        self.run_quiet(*self.commands.values())
        self.told = {name: self.quiet_jobs[name].json() for name in self.commands}
        self.used = set(truth.stages_of(self.quiet / ".exp" / "cache"))
        before = sound.read_bytes()
        sound.write_bytes(other_sound(self.quiet, self.round))
        self.run_quiet(self.commands["tones"])
        sound.write_bytes(before)
        self.expected = truth.stages_of(self.quiet / ".exp" / "cache")
        self.metrics = collections.defaultdict(list)
        for run in self.quiet_json(["runs", "--json"]):
            self.metrics[run["hash"]].append(truth.metrics_of(run))

    def run_quiet(self, *commands):
        started = [jobs.Job(self.program, words, self.quiet, self.logs, self.mark) for words in commands]
        self.quiet_jobs = dict(zip(self.commands, started))
        for job in started:
            if job.wait(HANGS_S) != 0:
                raise RuntimeError(f"undisturbed, `exp {' '.join(job.words)}` failed: {job.err.read_text()}")

    def quiet_json(self, words):
        done = subprocess.run([self.program, *words], cwd=self.quiet, check=True, capture_output=True)
        return json.loads(done.stdout)

    def queue(self):
        for name, words in self.commands.items():
            if name.startswith("queued"):
                job = self.start([*words, "--queue"])
                job.wait(HANGS_S)
                if job.poll() == 0:
                    self.ledger.queue(job.json()["queued"])

    def disturb(self, number, accidents):
        rng = random.Random(f"{self.seed}/{number}")
        for words in (self.commands["tones"], self.commands["distilled"], self.commands["grid"],
                      ["queue", "--jobs", "2", "--json"]):
            self.later(rng.uniform(0, 1.5), lambda words=words: self.start(words))
        missed = []
        for index, kind in accidents:
            own = random.Random(f"{self.seed}/{index}/{kind}")

            def happen(index=index, kind=kind, own=own):
                if kinds.KINDS[kind](self, own):
                    self.happened.add(kind)
                    self.counts[kind]["done"] += 1
                    self.say(f"  {kind}")
                elif any(job.living() for job in self.working()):
                    self.later(0.3, happen)  # there may be something in a moment
                else:
                    missed.append((index, kind))

            self.later(rng.uniform(0.3, 5), happen)
        readers = random.Random(f"{self.seed}/{number}/readers")
        self.later(0.2, lambda: self.look(readers))
        until = time.monotonic() + HANGS_S
        while self.timeline or any(job.living() for job in self.jobs):
            while self.timeline and self.timeline[0][0] <= time.monotonic():
                heapq.heappop(self.timeline)[2]()
            if time.monotonic() > until:
                self.hung()
                break
            time.sleep(0.01)
        return missed

    def look(self, rng, before=None):
        """One reader after the other, as long as something computes; now and then a run is given a tag."""
        if before is not None and before.living():
            self.later(0.05, lambda: self.look(rng, before))
            return
        if before is not None and not any(job.living() for job in self.working()):
            return
        runs = sorted(path.name for path in self.work.glob(".exp/runs/0*") if (path / "run.db").exists())
        words = list(rng.choice(READERS))
        if runs and rng.random() < 0.2:
            words = ["tag", rng.choice(runs[-4:]), f"tag-{rng.random()}"]
        job = self.start(words)
        self.later(0.3, lambda: self.look(rng, job))

    def hung(self):
        for job in self.jobs:
            if job.living():
                self.fault(f"`exp {' '.join(job.words)}` hangs: {job.err.read_text()[-600:]}")
                job.send(signal.SIGKILL)

    def rest(self):
        """What was broken is put right, and every process has ended."""
        for action in reversed(self.undoing):
            action()
        self.undoing = []
        self.lasting = set()
        until = time.monotonic() + HANGS_S
        while self.processes() and time.monotonic() < until:
            time.sleep(0.05)
        for pid, words in self.processes():
            self.fault(f"still there when all had ended: {' '.join(words)}")
            self.send(pid, signal.SIGKILL)
        self.disturbed = list(self.jobs)

    def resume(self):
        """The same commands again, at once, and nothing happens to them. What they say is held against the truth."""
        first = self.start(["queue", "--jobs", "2", "--json"])
        again = {name: self.start(words + (["--retry", "all"] if name == "grid" else []))
                 for name, words in self.commands.items() if not name.startswith("queued")}
        for job in (first, *again.values()):
            job.wait(HANGS_S)
        for name, words in self.commands.items():
            if name.startswith("queued"):
                again[name] = self.start(words)
        for job in again.values():
            job.wait(HANGS_S)
        self.hung()
        self.resumed = again

    def count(self):
        """What became of the commands that each accident happened to."""
        for job in self.jobs:
            word, complaint = jobs.verdict(job.end())
            if complaint:
                self.fault(f"{complaint} [{', '.join(job.accidents)}; {job.err.name}]")
            if word == "refused":
                for line in jobs.error_lines(job.end().err):
                    self.refusals[line] += 1
            for kind in dict.fromkeys(job.accidents):
                self.counts[kind][word] += 1

    def fault(self, text):
        self.faults.append(f"round {self.round}: {text}")
        self.say(f"FAULT: {text}")


def changed_sound(folder, number):
    return folder / f"sounds-{number}" / "train" / "tone0" / "0.wav"


def other_sound(folder, number):
    return (folder / f"sounds-{number}" / "train" / "tone0" / "1.wav").read_bytes()


def mount(folder):
    """A small disk of its own, where this user may have one."""
    words = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "none", str(folder)]
    return os.geteuid() == 0 and subprocess.run(words, check=False, capture_output=True).returncode == 0


def compile_clock(folder):
    library = folder / "clock.so"
    source = pathlib.Path(__file__).parent / "clock.c"
    words = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
    made = shutil.which("cc") and subprocess.run(words, check=False).returncode == 0
    return library if made else None
