"""Pages for people: what a job found, in one HTML file that needs nothing else."""
