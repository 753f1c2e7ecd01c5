b + 1
day * 2
day = 1
