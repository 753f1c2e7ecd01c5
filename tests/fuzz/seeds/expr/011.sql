überschrift
i = 2
i == 2
