qsub -terse -N 7digit -r n -w n -wd /work -o /work/ow.log -j y -l h_rt=10 j.sh 60 0
