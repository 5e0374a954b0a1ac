bhist -l -n 2 21
