"""Before a long job: is a data set whole, readable, and parted so that nothing leaks."""
