qsub -terse -N qcb-01jd00000000000000000007q -nosuch -wd /work j.sh
