bjobs -a -u alice -J TAG -o jobid job_name submit_time
