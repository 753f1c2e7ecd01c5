i + l
t + 0Y
l - i * 2
