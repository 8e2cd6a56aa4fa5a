"""The decisions of the daemon, without files, threads, sockets or clocks."""
