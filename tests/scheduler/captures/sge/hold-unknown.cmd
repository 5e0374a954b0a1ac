qhold 99
