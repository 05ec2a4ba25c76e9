"""Running the notebooks: parameters, processes, what is up to date, verification."""
