qacct -o root -d 2 -j
