bsub < job.sh
