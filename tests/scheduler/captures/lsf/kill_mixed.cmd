bkill 11 55 33 66
