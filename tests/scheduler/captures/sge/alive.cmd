qconf -sss
