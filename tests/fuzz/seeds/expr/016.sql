dec > i
wide < 0
s = 'apple'
