qacct -o root -j qcb-01jd00000000000000000001ok
