st.z
i.x
arr['a']
