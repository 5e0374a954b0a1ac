qhold 14
