i ? 1
agee > 1
nosuch(1)
