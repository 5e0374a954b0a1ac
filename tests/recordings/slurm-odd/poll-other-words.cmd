squeue -h -r --me -o '%i|%A|%F|%K|%T|%S|%e|%M|%r'
