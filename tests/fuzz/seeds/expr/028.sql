i IN (l, 2)
d IN (1.5, 2)
i IN ('1', '2')
