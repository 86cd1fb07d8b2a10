"""Commands that run in the background, and whether what they said at their end was right."""
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import time

# Set in the environment of every process of a session, so that children which changed their group are found too.
MARK = "EXP_ACCIDENTS_SESSION"
FAILED = (1, 2, 3)
STOPPED = (75, 130)
CODES = (0, *FAILED, *STOPPED)
# What a reader may say before there is anything to read.
NOTHING_YET = ("no run has a metric yet", "there are no runs", "no run matches")
CRASHED = ("terminate called", "Assertion", "core dumped", "Traceback", "basic_string", "std::")


def error_lines(text):
    """The lines that say why a command failed. What the tracker could not keep is told besides."""
    return [line for line in text.splitlines() if line.startswith(("error: ", '{"error"'))
            and not line.startswith("error: tracking of run ")]


@dataclasses.dataclass
class End:
    """How a command ended: what `verdict` looks at."""
    words: list
    code: int  # negative: the signal that ended it
    out: str
    err: str
    accidents: tuple = ()  # kinds that happened to it or to the workspace while it lived
    signals: tuple = ()  # that it was sent
    closed: bool = False  # nobody read its output
    code_wanted: int = None  # the only code that is right


def verdict(end):
    """How it ended in a word (survived, refused, stopped, killed), and what is wrong with that, or nothing."""
    what = " ".join(end.words)
    crash = next((word for word in CRASHED if word in end.err), None)
    if crash:
        return "crashed", f"`exp {what}` crashed ({crash}): {end.err[-600:]}"
    if end.code_wanted not in (None, end.code) and -end.code not in end.signals:
        return "wrong", f"`exp {what}` ended with {end.code}, not {end.code_wanted}: {end.out[-300:]}{end.err[-300:]}"
    if end.code < 0:
        sent = -end.code in end.signals or (end.closed and -end.code == signal.SIGPIPE)
        return "killed", None if sent else f"`exp {what}` died of signal {-end.code}: {end.err[-600:]}"
    if end.code not in CODES:
        return "crashed", f"`exp {what}` ended with code {end.code}: {end.err[-600:]}"
    if end.code == 0:
        return "survived", unreadable(end, what)
    early = end.code == 3 and any(text in end.err for text in NOTHING_YET)
    if not end.accidents and end.code_wanted is None and not early:
        return "wrong", f"`exp {what}` ended with {end.code} although nothing happened to it: {end.err[-600:]}"
    if end.code in STOPPED:
        return "stopped", None
    return "refused", unclear(end, what)


def unreadable(end, what):
    """A command that ended well and said --json gave JSON."""
    if "--json" not in end.words or end.closed:
        return None
    try:
        json.loads(end.out)
    except ValueError:
        return f"`exp {what}` ended well with no JSON: {end.out[:300]!r}"
    return None


def unclear(end, what):
    """A refusal is one line of error; sweeps and queues tell each failure as it happens. A process that may write no
    file cannot say anything, for its stderr is one here."""
    lines = error_lines(end.err)
    if not lines and "file_limit" in end.accidents:
        return None
    many = end.words[0] in ("sweep", "sweeps", "queue")
    told = end.words[0] in ("run", "sweep", "queue") and ('"error": "' in end.out or '"code"' in end.out)
    if (len(lines) == 0 and not told) or (len(lines) > 1 and not many):
        return f"`exp {what}` ended with {end.code} and {len(lines)} lines of error: {end.out[-300:]}{end.err[-600:]}"
    return None


def processes(mark):
    """(pid, words) of every living process of the session."""
    found = []
    wanted = f"{MARK}={mark}".encode()
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if wanted not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if state != "Z" and words:
            found.append((int(entry.name), words))
    return found


class Job:
    """One command. It is started at once; `poll` says whether it has ended."""

    def __init__(self, program, words, folder, logs, mark, *, env=None, closed=False, before=(), code_wanted=None):
        self.words, self.folder, self.closed, self.code_wanted = words, folder, closed, code_wanted
        self.accidents, self.signals = [], []
        number = len(list(logs.glob("*.err")))
        self.out, self.err = logs / f"{number:05}.out", logs / f"{number:05}.err"
        environment = {**os.environ, "NO_COLOR": "1", "OMP_NUM_THREADS": "1", MARK: mark, **(env or {})}
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            err.write(f"{time.strftime('%X')} {folder.name}: exp {' '.join(words)}\n".encode())
            err.flush()
            self.process = subprocess.Popen([*before, program, *words], cwd=folder, env=environment,
                                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if closed else out,
                                            stderr=err, start_new_session=True)
        if closed:
            self.process.stdout.close()
        self.pid, self.begun = self.process.pid, time.monotonic()

    def poll(self):
        return self.process.poll()

    def living(self):
        return self.poll() is None

    def wait(self, timeout_s):
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def send(self, number):
        self.signals.append(int(number))
        self.process.send_signal(number)

    def end(self):
        return End(self.words, self.process.returncode, self.out.read_text(errors="replace"),
                   self.err.read_text(errors="replace").split("\n", 1)[-1], tuple(self.accidents), tuple(self.signals),
                   self.closed, self.code_wanted)

    def json(self):
        return json.loads(self.out.read_text())
