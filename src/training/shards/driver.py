"""Shards of a planned run as tasks of one Ray job: `python driver.py RUN SHARDS CORES MEMORY ATTEMPTS`.

The program lies beside this file on every node. A node that fails, or a code that a retry may help, starts the task again;
exit code 2 ends the job. At last the run is collected. Credentials of an object store are those of the nodes."""
import os, subprocess, sys

import ray

run, (shards, cores, memory, attempts) = sys.argv[1], map(int, sys.argv[2:])


class WorthARetry(Exception):
    pass


@ray.remote(num_cpus=cores, memory=memory, max_retries=attempts, retry_exceptions=[WorthARetry])
def fraudml(*arguments):
    os.chmod("fraudml", 0o755)
    code = subprocess.call(["./fraudml", "--no-progress", "--threads", str(cores), *arguments, "--run", run])
    if code not in (0, 2):
        raise WorthARetry(f"exit code {code}")
    return code


ray.init()
codes = ray.get([fraudml.remote("cell", "--shard", f"{index}/{shards}") for index in range(shards)])
sys.exit(max(codes) or ray.get(fraudml.remote("collect")))
