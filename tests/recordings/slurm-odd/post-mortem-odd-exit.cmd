sacct -n -P -D -j 7 -o JobID,State,ExitCode
