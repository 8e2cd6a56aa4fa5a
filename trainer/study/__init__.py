"""Studies: further trainings beside a run, for figures that one run cannot give."""
