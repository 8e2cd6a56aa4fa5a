"""The contracts that every part of Graftline shares.

What crosses a process or a machine lives here: the model package and its
manifest, the MQTT messages, the slot files, the errors, and how a package is
run. Nothing in here imports a sibling package.
"""
