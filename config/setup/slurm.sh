#!/bin/sh
# Finds or installs Slurm and munge for the tests, which start private instances of them. Starts and enables nothing.
set -eu
. "$(dirname "$0")/packages.sh"
PATH=$PATH:/usr/sbin:/sbin

lacks() {
    for program in slurmctld slurmd sbatch squeue sacct scancel scontrol munged; do
        have "$program" || return 0
    done
    return 1
}

if lacks; then
    apt_install slurm-wlm munge || :
    ! lacks || { lack "Slurm" slurm-wlm munge; exit 1; }
fi
