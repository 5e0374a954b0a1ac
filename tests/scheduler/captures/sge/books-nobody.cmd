qacct -o nobody -d 2 -j
