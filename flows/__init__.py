"""The steps of the loop, their wiring, their Prefect deployments and the command line."""
