dec / 0
i % 0
i DIV 0
