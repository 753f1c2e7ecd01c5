i <= l
t < h
d > 1e300
