"""What is installed under a name of its own: `bptt`, which is above `engine`, `rnn` and `viz`."""
