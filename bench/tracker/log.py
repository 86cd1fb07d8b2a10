#!/usr/bin/env python3
"""Logs N points of one metric with another tracker, one call a point, and prints one line of JSON:
call_s (mean of a call), stored_s (with start and finish), both seconds per point.

    bench/tracker/log.py SYSTEM N FOLDER      SYSTEM: sacred, mlflow, mlflow_batch, aim

Importing the system's package is not counted.
"""
import importlib
import json
import os
import sys
import time
import warnings


def sacred(n, folder):
    from sacred import Experiment
    from sacred.observers import FileStorageObserver
    experiment = Experiment("bench", save_git_info=False)
    experiment.observers.append(FileStorageObserver(folder))
    took = []

    @experiment.main
    def loop(_run):
        start = time.perf_counter()
        for step in range(n):
            _run.log_scalar("loss", float(step), step)
        took.append(time.perf_counter() - start)

    experiment.run(options={"--loglevel": "ERROR"})
    return took[0]


def mlflow(n, folder, batch=False):
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = os.environ["DO_NOT_TRACK"] = "true"
    import logging
    logging.disable(logging.INFO)
    import mlflow as client
    client.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    with client.start_run():
        start = time.perf_counter()
        if batch:
            from mlflow.entities import Metric
            for first in range(0, n, 1000):
                rows = [Metric("loss", float(step), int(time.time() * 1000), step)
                        for step in range(first, min(first + 1000, n))]
                client.MlflowClient().log_batch(client.active_run().info.run_id, metrics=rows)
        else:
            for step in range(n):
                client.log_metric("loss", float(step), step=step)
        return time.perf_counter() - start


def aim(n, folder):
    os.environ["AIM_UI_TELEMETRY_ENABLED"] = "0"
    from aim import Run
    run = Run(repo=folder, system_tracking_interval=None, capture_terminal_logs=False)
    start = time.perf_counter()
    for step in range(n):
        run.track(float(step), name="loss", step=step)
    took = time.perf_counter() - start
    run.close()
    return took


def main():
    system, n, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    os.makedirs(folder, exist_ok=True)
    work = {"sacred": sacred, "mlflow": mlflow, "aim": aim,
            "mlflow_batch": lambda n, folder: mlflow(n, folder, batch=True)}[system]
    # sacred still asks for pkg_resources, which says at every start that it is deprecated.
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    importlib.import_module(system.split("_")[0])
    start = time.perf_counter()
    looped = work(n, folder)
    total = time.perf_counter() - start
    print(json.dumps({"system": system, "n": n, "call_s": looped / n, "stored_s": total / n}))


if __name__ == "__main__":
    main()
