"""The engine of job 1 and the only home of PySCF."""
