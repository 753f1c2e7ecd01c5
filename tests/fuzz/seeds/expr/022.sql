i > 0 AND i > 0 AND i < 3
NOT i = 2 AND b
false AND 1/0 > 1
