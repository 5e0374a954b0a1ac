qsub -terse -N qcb-01jd00000000000000000002arr -r n -w n -notify -t 1-3 -wd /work -o /work/oa.log -j y -l h_rt=60 j.sh 8 3
