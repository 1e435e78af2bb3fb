"""Write the interactive page: one HTML file that holds a picture and needs nothing else."""
