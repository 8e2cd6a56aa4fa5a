"""Ways to bring a package to a line PC: ssh, a stick, a share, HTTP."""
