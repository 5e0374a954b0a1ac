bhist -l -n 2 23
