"""Runs COUNT times /bin/true on a LocalCluster with one worker and prints the seconds from submit to the end on the last line.

Called by hyperqueue.rs. STREAMS is `files` (the default of HyperQueue: two files for each task) or `none`.
"""

import os
import sys
import tempfile
import time

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

count, streams = int(sys.argv[1]), sys.argv[2]
options = {"none": {"stdout": None, "stderr": None}, "files": {}}[streams]

with tempfile.TemporaryDirectory() as directory:
    with LocalCluster(server_dir=directory) as cluster:
        # The server comes up beside us; a worker that looks for it too early fails.
        deadline = time.monotonic() + 60
        while not os.path.exists(os.path.join(directory, "hq-current", "access.json")):
            if time.monotonic() > deadline:
                sys.exit("HyperQueue's server did not start")
            time.sleep(0.05)
        cluster.start_worker(WorkerConfig())
        client = cluster.client()
        # The worker is connected once a first task has run.
        first = Job()
        first.program(["/bin/true"], **options)
        client.wait_for_jobs([client.submit(first)])
        job = Job()
        for _ in range(count):
            job.program(["/bin/true"], **options)
        began = time.perf_counter()
        client.wait_for_jobs([client.submit(job)])
        print(time.perf_counter() - began)
