qacct -o root -d 7 -j
