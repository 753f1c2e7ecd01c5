greatest(i, 2, NULL)
least(s, 'm')
greatest(d, 0)
