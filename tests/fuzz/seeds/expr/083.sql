1 / 0
i % 0
big + 1
