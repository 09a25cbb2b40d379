"""Pure planners, one a kind: what is stored about an object and `now` go in, a Plan comes out."""
