active = true AND age >= 18
b AND NULL
b OR NULL
