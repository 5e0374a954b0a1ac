qstat -j 9999 -xml
