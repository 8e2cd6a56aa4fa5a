"""The broker of a plant: configuration, access list, and a workshop's certificates."""
