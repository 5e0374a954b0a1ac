sbatch --parsable --no-requeue --export=NONE --open-mode=append --job-name=qcb-01jd000000000000000000000a --signal=B:USR2@15 --time=1 --chdir=/tmp --output=/dev/null /nonexistent/job.sh
