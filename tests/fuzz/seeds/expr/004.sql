1e3
1.5F
true
