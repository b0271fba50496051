"""`xlrm launch`: this machine, SLURM, Cloud TPUs, Kubernetes."""
