squeue -h --me -t all --name=qcb-01jd000000000000000000000a -o '%F|%V'
