"""Name the ways that wires can take through the columns of a picture. Below `grid.py`."""

# What a wire has to cross: nothing, the border to the next column on the right or on the left,
# several columns (by a lane above the grid, alone or with all that lead into one box); or it comes
# from the rail, or from a bar or goes to one, in a step or at an end of the bar; or it joins what
# stands on the rail or on bars; or it is one of a fan of attention.
LOCAL, NEXT, BACK, FAR, GATHERED, FROM_RAIL, FROM_BAR, TO_BAR, BAR_END, TO_END, ASIDE, FAN = range(
    1, 13
)
