qacct -o root -j qcb-01jd0000000000000000000none
