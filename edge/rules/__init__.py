"""What the daemon decides, without files, threads, sockets or clocks."""
