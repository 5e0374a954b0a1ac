scancel 1_0
