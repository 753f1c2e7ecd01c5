IF(i = 1, arr[1], 0)
st.x
st.Y || '!'
