bhist -l -n 2 24
