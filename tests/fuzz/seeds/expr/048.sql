dec + 1.0D
wide + 1
-dec
