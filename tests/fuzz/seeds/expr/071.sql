coalesc(i, 1)
if(b, 1)
i AND b
