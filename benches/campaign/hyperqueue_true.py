"""Runs COUNT times /bin/true on a LocalCluster with one worker and prints the seconds from submit to the end.

Called by hyperqueue.rs. STREAMS is `files` (the default of HyperQueue: two files for each task) or `none`.
"""

import sys
import tempfile
import time
from pathlib import Path

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

count, streams = int(sys.argv[1]), sys.argv[2]
options = {"none": {"stdout": None, "stderr": None}, "files": {}}[streams]

with tempfile.TemporaryDirectory(dir=".") as directory:
    with LocalCluster(server_dir=Path(directory), worker_config=WorkerConfig()) as cluster:
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
