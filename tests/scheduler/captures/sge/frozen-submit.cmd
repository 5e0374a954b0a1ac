timeout 150 qsub -terse -N qcb-01jd00000000000000000000frz -r n -w n -wd /work -o /work/ow.log -j y -l h_rt=10 j.sh 1 0
