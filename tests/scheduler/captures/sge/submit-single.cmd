qsub -terse -N qcb-01jd00000000000000000001ok -r n -w n -notify -wd /work -o /work/o.log -j y -pe smp 2 -l h_rt=60,h_vmem=1G j.sh 8 0
