timeout 150 qstat -u root -g d -xml
