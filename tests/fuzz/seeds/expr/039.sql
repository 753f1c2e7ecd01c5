7 DIV 2
-7 DIV 2
-7 % 3
