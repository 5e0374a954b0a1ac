bhist -l -n 2 25
