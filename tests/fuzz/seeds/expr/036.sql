s REGEXP 'na'
regexp_like(s, '(?i)B')
i + 1
