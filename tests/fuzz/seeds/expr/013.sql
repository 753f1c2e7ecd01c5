i <=> NULL
2 < i
i >= 2
