NOT b
!b
b OR i = 2 OR l = 30
