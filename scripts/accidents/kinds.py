"""The accidents. Each is a function of the session and of its own random numbers: it makes itself happen once and says
whether it found something to happen to. `session.undo` takes what puts things right again before the work goes on.
"""
import os
import pathlib
import random
import resource
import shutil
import signal

KINDS = {}


def accident(function):
    KINDS[function.__name__] = function
    return function


def draw(seed, count, only):
    """Every kind equally often, in random order."""
    rng = random.Random(seed)
    found = []
    while len(found) < count:
        names = sorted(only or KINDS)
        rng.shuffle(names)
        found += names
    return list(enumerate(found[:count]))


def hit(session, rng, number, *, children, kind):
    """Sends signal `number` to a command that computes, or to a process below one."""
    below = {job: [pid for pid in session.below(job) if pid != job.pid] for job in session.working() if job.living()}
    jobs = [job for job, pids in below.items() if pids or not children]
    if not jobs:
        return False
    job = rng.choice(jobs)
    job.accidents.append(kind)
    pid = rng.choice(below[job]) if children else job.pid
    if pid == job.pid:
        job.send(number)
    else:
        session.send(pid, number)
    return True


@accident
def kill_command(session, rng):
    return hit(session, rng, signal.SIGKILL, children=False, kind="kill_command")


@accident
def kill_worker(session, rng):
    """A worker of a sweep or queue."""
    return hit(session, rng, signal.SIGKILL, children=True, kind="kill_worker")


@accident
def kill_everything(session, rng):
    """As when the power goes: no process of the workspace sees the end coming."""
    session.touch("kill_everything")
    for job in session.jobs:
        if job.living():
            job.signals.append(int(signal.SIGKILL))
    victims = session.processes()
    for pid, _ in victims:
        session.send(pid, signal.SIGKILL)
    return bool(victims)


@accident
def terminate(session, rng):
    return hit(session, rng, signal.SIGTERM, children=False, kind="terminate")


@accident
def terminate_twice(session, rng):
    if not hit(session, rng, signal.SIGTERM, children=False, kind="terminate_twice"):
        return False
    job = next(job for job in session.working() if "terminate_twice" in job.accidents)
    session.later(rng.uniform(0, 0.2), lambda: job.living() and job.send(signal.SIGTERM))
    return True


@accident
def interrupt(session, rng):
    return hit(session, rng, signal.SIGINT, children=False, kind="interrupt")


@accident
def hang_up(session, rng):
    return hit(session, rng, signal.SIGHUP, children=False, kind="hang_up")


@accident
def terminate_worker(session, rng):
    return hit(session, rng, signal.SIGTERM, children=True, kind="terminate_worker")


@accident
def freeze(session, rng):
    """The machine sleeps for two seconds."""
    victims = [pid for pid, _ in session.processes()]
    for pid in victims:
        session.send(pid, signal.SIGSTOP)
    session.later(2, lambda: [session.send(pid, signal.SIGCONT) for pid in victims])
    return bool(victims)


@accident
def stop_command(session, rng):
    """`exp stop` of what runs."""
    runs = session.live_runs()
    if not runs:
        return False
    session.touch("stop_command")
    session.start(["stop", rng.choice(runs).name], accidents=["stop_command"])
    return True


@accident
def full_disk(session, rng):
    if not session.small_disk or not any(job.living() for job in session.working()):
        return False
    session.touch("full_disk", lasts=True)
    ballast = session.root / f"ballast-{rng.random()}"
    free = os.statvfs(session.root)
    size = free.f_bavail * free.f_frsize - rng.choice((0, 0, 4096, 65536, 400_000))
    with open(ballast, "wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, max(size, 4096))
        except OSError:
            pass
    session.later(rng.uniform(0.5, 2), lambda: ballast.unlink(missing_ok=True))
    session.undo(lambda: ballast.unlink(missing_ok=True))
    return True


def limit(session, rng, what, value, kind):
    """One process may use less from now on."""
    pids = [(job, pid) for job in session.working() if job.living() for pid in session.below(job)]
    if not pids:
        return False
    job, pid = rng.choice(pids)
    job.accidents.append(kind)
    try:
        resource.prlimit(pid, what, (value, value))
    except (OSError, ValueError):
        return False
    return True


@accident
def file_limit(session, rng):
    return limit(session, rng, resource.RLIMIT_FSIZE, rng.choice((0, 4096, 50_000, 200_000)), "file_limit")


@accident
def few_descriptors(session, rng):
    return limit(session, rng, resource.RLIMIT_NOFILE, rng.choice((4, 10, 16, 24)), "few_descriptors")


@accident
def few_descriptors_at_start(session, rng):
    limit_words = ["sh", "-c", f'ulimit -n {rng.choice((8, 12, 16, 24, 32))}; exec "$@"', "sh"]
    session.start(rng.choice((session.commands["tones"], session.commands["grid"], ["runs", "--json"])),
                  accidents=["few_descriptors_at_start"], before=limit_words)
    return True


@accident
def collect(session, rng):
    session.start(["gc"])
    return True


@accident
def collect_now(session, rng):
    session.start(["gc", "--now", "--json"])
    return True


@accident
def collect_and_adopt(session, rng):
    session.start(["gc", "--adopt"])
    return True


@accident
def second_workspace(session, rng):
    """Another workspace with the same cache runs the same recipe, collects, and is cleared away."""
    number = session.round
    for name in (f"base-{number}.toml", f"tones-{number}.toml", f"sounds-{number}"):
        link = session.second / name
        if not link.exists():
            link.symlink_to(session.work / name)
    job = session.start(session.commands["tones"], folder=session.second, accidents=["second_workspace"])
    session.later(rng.uniform(0, 3), lambda: session.start(["gc", "--now"], folder=session.second))
    session.later(rng.uniform(0, 3), lambda: job.living() and rng.random() < 0.5 and job.send(signal.SIGKILL))
    return True


@accident
def run_removed(session, rng):
    runs = session.live_runs()
    if not runs:
        return False
    session.touch("run_removed", lasts=True)
    run = rng.choice(runs)
    session.ruin(run.name)
    shutil.rmtree(run, ignore_errors=True)
    return True


@accident
def database_removed(session, rng):
    runs = session.live_runs()
    if not runs:
        return False
    session.touch("database_removed", lasts=True)
    run = rng.choice(runs)
    session.ruin(run.name)
    (run / "run.db").unlink(missing_ok=True)
    return True


@accident
def ring_cut(session, rng):
    rings = [run / "ring" for run in session.live_runs() if (run / "ring").exists()]
    if not rings:
        return False
    session.touch("ring_cut", lasts=True)
    ring = rng.choice(rings)
    try:
        os.truncate(ring, rng.choice((0, 64, 4096, ring.stat().st_size // 2)))
    except OSError:
        return False
    return True


@accident
def locks_removed(session, rng):
    locks = [*session.work.glob(".exp/runs/*/lock"), *session.cache.glob("*/*.lock")]
    session.touch("locks_removed", lasts=True)
    for lock in locks:
        lock.unlink(missing_ok=True)
    return bool(locks)


@accident
def flipped_bit(session, rng):
    """In weights, a state or a shard, whether whole or being made."""
    files = [path for pattern in ("train/*/*.safetensors", "prepare/*/shard-*.h5", "teach/*/*.h5", "evaluate/*/*.h5")
             for path in sorted(session.cache.glob(pattern))
             if session.is_of_round(path) and path.stat().st_size > 0]
    if not files:
        return False
    session.touch("flipped_bit", lasts=True)
    path = rng.choice(files)
    try:
        with open(path, "r+b") as file:
            position = rng.randrange(path.stat().st_size)
            file.seek(position)
            byte = file.read(1)
            file.seek(position)
            file.write(bytes([byte[0] ^ (1 << rng.randrange(8))]))
    except (OSError, IndexError):
        return False
    session.flipped.add("/".join(path.parts[-3:]))
    return True


@accident
def clock_set(session, rng):
    """A command on a machine whose clock is off."""
    if session.clock is None:
        return False
    shift = rng.choice((-400 * 86400, -86400, -3600, -30, 30, 3600, 86400, 400 * 86400))
    words = rng.choice((session.commands["tones"], session.commands["distilled"], session.commands["grid"], ["gc"]))
    session.start(words, env={"LD_PRELOAD": str(session.clock), "CLOCK_SHIFT_S": str(shift)}, accidents=["clock_set"])
    return True


@accident
def times_set(session, rng):
    """Files that are from the future, or from 1970."""
    files = [path for path in sorted(session.work.glob(".exp/**/*"))[:2000] if path.is_file()]
    for path in rng.sample(files, min(20, len(files))):
        at = rng.choice((0, 1e9, 4e9))
        try:
            os.utime(path, (at, at))
        except OSError:
            continue
    return bool(files)


@accident
def foreign_git(session, rng):
    """The folder's git configuration names programs."""
    config = session.work / ".git" / "config"
    if not config.is_file():
        return False
    before = config.read_text()
    program = session.evil_program()
    config.write_text(f"{before}\n[core]\n\tfsmonitor = {program}\n\thooksPath = {program.parent}\n"
                      f"\tpager = {program}\n[diff]\n\texternal = {program}\n\tnoprefix = true\n\tcontext = 0\n")
    session.undo(lambda: config.write_text(before))
    session.start(session.commands["tones"])
    return True


@accident
def dangling_link(session, rng):
    """Among the runs: gc cannot know what that one used, so it removes nothing and says so."""
    link = session.work / ".exp" / "runs" / f"00ZZZZZZZZ{rng.randrange(10**16):016}"  # older than every run
    link.symlink_to("/nowhere/at/all")
    session.touch("dangling_link", lasts=True)
    session.undo(lambda: link.unlink(missing_ok=True))
    session.start(["gc", "--now"], code_wanted=3, accidents=["dangling_link"])
    return True


@accident
def dangling_link_in_cache(session, rng):
    link = session.cache / rng.choice(("train", "evaluate")) / f"{rng.randrange(10**16):032}"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to("/nowhere/at/all")
    session.undo(lambda: link.unlink(missing_ok=True))
    session.start(["gc"], accidents=["dangling_link_in_cache"])
    return True


@accident
def runs_unreadable(session, rng):
    runs = session.work / ".exp" / "runs"
    before = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if before and shutil.which("setpriv") is None:
        return False
    session.touch("runs_unreadable", lasts=True)
    runs.chmod(0)
    job = session.start(["gc", "--now"], code_wanted=3, accidents=["runs_unreadable"], before=before)
    job.wait(60)
    runs.chmod(0o755)
    return True


@accident
def output_closed(session, rng):
    """`exp .. | head`, which reads nothing."""
    words = rng.choice((session.commands["tones"], session.commands["distilled"], ["runs"], ["report"],
                        ["runs", "--json"], ["show", "last"]))
    session.start(words, closed=True, accidents=["output_closed"])
    return True


@accident
def data_changed(session, rng):
    """A run stops, a sound becomes another, and the same command comes again."""
    sound, other = session.changing
    for job in session.working():
        if job.living() and job.words == session.commands["tones"]:
            job.accidents.append("data_changed")
            job.send(signal.SIGTERM)
            job.wait(60)
    before = pathlib.Path(sound).read_bytes()
    sound.write_bytes(other)
    session.touch("data_changed", lasts=True)
    session.undo(lambda: sound.write_bytes(before))
    session.start(session.commands["tones"], accidents=["data_changed"])
    return True
