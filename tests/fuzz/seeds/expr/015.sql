d = d
0.0D = -0.0D
dec = 1.25
