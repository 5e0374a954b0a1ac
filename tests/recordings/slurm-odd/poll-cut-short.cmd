squeue -h -r --me -t all -o '%i|%A|%F|%K|%T|%S|%e|%M|%r'
