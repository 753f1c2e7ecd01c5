dec + 1.5
dec * 2
dec * dec
