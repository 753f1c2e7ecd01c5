NULL
'it\'s'
"double"
