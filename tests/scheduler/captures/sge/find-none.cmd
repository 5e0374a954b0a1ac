qstat -u root -xml
