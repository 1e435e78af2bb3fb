"""Pictures of graphs: rolled, unrolled, gradients, paths, cuts, faults, differences."""
