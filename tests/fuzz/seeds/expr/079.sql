t + 1Y
big + 1
big * 2
