s < 'a'
n = 12
n > 1.5D
