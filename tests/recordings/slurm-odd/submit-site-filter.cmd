sbatch --parsable --no-requeue --export=NONE --open-mode=append --job-name=qcb-1 --signal=B:USR2@15 --time=1 --chdir=/tmp --output=/dev/null job.sh
