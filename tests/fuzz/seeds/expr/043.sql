i + NULL
5 & 3
5 | 3
