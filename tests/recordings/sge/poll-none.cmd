qstat -u root -g d -xml
