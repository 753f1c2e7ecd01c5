i NOT IN (1, 3)
i IN (1, NULL)
s IN ('apple', '')
