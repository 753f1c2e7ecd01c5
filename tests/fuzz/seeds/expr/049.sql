1.00 / 3.00
dec DIV 2
day + 1
