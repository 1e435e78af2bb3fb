"""Where everything stands: columns of time, rows, wires, in pixels."""
