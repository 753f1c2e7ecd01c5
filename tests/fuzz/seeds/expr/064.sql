nanvl(d, 0)
if(i > 1, 'big', 'small')
if(b, i, l)
