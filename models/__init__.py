"""The contracts that every part of Graftline shares; the networks are in ``trainer``.

Data that crosses a process or a machine is defined here (the model package, the MQTT
messages, the slot files, the errors), and so is the code that runs a package. No module
here imports a sibling package.
"""
