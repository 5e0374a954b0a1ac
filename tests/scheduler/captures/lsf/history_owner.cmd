bhist -l -n 2 22[3]
