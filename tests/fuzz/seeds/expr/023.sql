true AND b
i <> 2 AND 10 / (i - 2) > 0
i = 2 OR 10 / (i - 2) > 0
