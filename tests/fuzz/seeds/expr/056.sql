m['k']
m[s]
arr = arr
