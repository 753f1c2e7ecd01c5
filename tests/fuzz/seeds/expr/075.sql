i IS 3
count(*)
i LIKE
