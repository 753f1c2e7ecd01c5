-big
big - 1
2147483647 + i
