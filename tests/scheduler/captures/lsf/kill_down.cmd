bkill 11
