"""The store process: the one owner of a DuckDB file, so that many can read while one writes.

A second process cannot open a DuckDB file that has a writer, not even to read. So `haina store` owns it (`database`),
takes batches of points and answers queries over HTTP on loopback (`service`); collector and console come and go.
"""
