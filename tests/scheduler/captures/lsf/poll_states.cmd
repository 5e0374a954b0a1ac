bjobs -a -u alice -json -o "jobid jobindex stat exit_code start_time exec_host exit_reason pend_reason"
