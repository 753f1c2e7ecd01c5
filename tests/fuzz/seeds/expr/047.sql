dec / 3
dec % 1
dec + i
