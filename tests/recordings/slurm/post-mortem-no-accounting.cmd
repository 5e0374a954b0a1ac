sacct -n -P -D -j 1 -o JobID,JobIDRaw,State,ExitCode,Submit,Start,End,Reason,NodeList,MaxRSS
