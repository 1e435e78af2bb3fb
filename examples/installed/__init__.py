"""Hold what is installed under a name of its own: `bptt`, above `engine`, `rnn` and `viz`."""
