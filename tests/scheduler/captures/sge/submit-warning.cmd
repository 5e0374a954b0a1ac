qsub -N qcb-01jd00000000000000000008warn -r n -w w -wd /work -o /work/ow.log -j y -l h_rt=600:0:0 j.sh 60 0
