qsub -terse -N qcb-01jd00000000000000000007q -r n -w n -wd /work -o /work/ow.log -j y -l h_rt=10 j.sh 60 0
