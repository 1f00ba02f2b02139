"""The ground floor: units, errors, certificates, structures, graphs, files and processes.

Nothing here knows a method; everything above may import it.
"""
