-i
+i
i / 2
